//! Lost acknowledgements: what was done and not heard of is asked for again.
