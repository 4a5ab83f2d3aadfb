"""The study's second domain: a protein model that others pretrained on human antibodies, fine-tuned on mouse genes."""
