//! OpenLoRA: one base model, many LoRA adapters in one batch.
