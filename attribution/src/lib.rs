//! Who made an answer possible, and what each is owed for it.
