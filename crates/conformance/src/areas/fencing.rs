//! Fencing: who may no longer write.
