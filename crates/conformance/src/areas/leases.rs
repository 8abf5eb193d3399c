//! Leases: until when a run is somebody's, and from when on it is anyone's.
