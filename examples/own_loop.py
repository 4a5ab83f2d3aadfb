"""LIFT in a training loop of one's own, on a model that is not one of transformers: `python examples/own_loop.py`.

Rows are sums such as `17+25=042`, a character a token; the model is two layers of PyTorch. One forward scores and
trains.
"""

import torch
from torch import nn

from lift.objectives import choose_order, diffusion_time, draw_uniforms, num_to_keep, overmask_rate, step_seed
from lift_kernels import corrupt_tokens, lift_cross_entropy

CHARACTERS = "0123456789+=_"
MASK = CHARACTERS.index("_")


class Denoiser(nn.Module):
    def __init__(self, width: int = 64, length: int = 9) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(len(CHARACTERS), width), nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, len(CHARACTERS))

    def hidden_states(self, ids: torch.Tensor) -> torch.Tensor:
        return self.layers(self.token(ids) + self.place.weight)  # (B, L, D): the head comes in the loss


def main(num_steps: int = 1000, batch_size: int = 64) -> list[float]:
    torch.manual_seed(0)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    sums = [f"{a:02}+{b:02}={a + b:03}" for a in range(100) for b in range(100)]
    rows = torch.tensor([[CHARACTERS.index(c) for c in text] for text in sums])
    losses = []
    for step in range(num_steps):
        example_id = torch.randint(len(rows), (batch_size,))  # the row's number names it in every draw
        input_ids, seed = rows[example_id], step_seed(42, step)
        is_response = (torch.arange(9) >= 6).expand(batch_size, 9)
        u, v = draw_uniforms(seed, example_id)
        t, rho = diffusion_time(u), overmask_rate(u, v)
        order, draws = choose_order(t, "lift3"), {"seed": seed, "row_ids": example_id}
        noisy = corrupt_tokens(input_ids, t + rho, mask_token_id=MASK, maskable=is_response, **draws)
        loss = lift_cross_entropy(
            model.hidden_states(noisy.input_ids), model.head.weight, input_ids.where(noisy.is_masked, -100),
            t, num_to_keep(noisy.is_masked.sum(1), t, rho, order), order,
            bias=model.head.bias, denominator=is_response.sum(), **draws,
        )  # fmt: skip
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step}: {sum(losses[-100:]) / len(losses[-100:]):.3f}")
    return losses


if __name__ == "__main__":
    main()
