//! Leases: until when a run is somebody's, and from when on it is anyone's.

pub(crate) mod end;
pub(crate) mod release;
pub(crate) mod renew;
