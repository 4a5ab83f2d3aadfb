"""LIFT with a LoRA adapter on LLaDA-8B, from Python: `python examples/lora_llada.py`, on a machine with a large GPU.

The recipe is that of `lift train --preset llada-8b`, on sums in place of s1k. The code that comes with the model runs.
"""

from pathlib import Path

import peft

import lift
from lift.models import load_tokenizer

SUMS = [{"prompt": f"How many are {a} and {b}?", "completion": f"{a + b}"} for a in range(20) for b in range(20)]


def main(name: str = "GSAI-ML/LLaDA-8B-Instruct", output_dir: str | Path = "llada-lora", **settings) -> str:
    """Train an adapter of the model `name`, save it in `output_dir`, and return what the two answer."""
    tokenizer = load_tokenizer(name, trust_remote_code=True)
    model = lift.load_model(name, dtype="bfloat16", trust_remote_code=True)
    adapter = peft.LoraConfig(r=128, lora_alpha=256, lora_dropout=0.05, target_modules=["q_proj", "k_proj", "v_proj"])
    model = peft.get_peft_model(model, adapter)

    recipe = {
        "method": "lift3",
        "learning_rate": 5e-6,
        "num_train_epochs": 20,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "weight_decay": 0.1,
        "bf16": True,
        "gradient_checkpointing": True,
    }
    args = lift.LiftConfig(output_dir=str(output_dir), **(recipe | settings))
    dataset = lift.prepare_dataset(SUMS, tokenizer, max_length=args.max_length)
    trainer = lift.LiftTrainer(model=model, args=args, train_dataset=dataset, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()  # the adapter alone: `lift sample --model llada-lora --trust_remote_code true` takes it

    question = [{"role": "user", "content": "How many are 17 and 25?"}]
    text = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
    ids = lift.generate(model, prompt, gen_length=8, mask_token_id=trainer.mask_token_id, sampler="llada")
    return tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True)


if __name__ == "__main__":
    print(main())
