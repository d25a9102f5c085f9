//! SIP and SDP as text: parsed from any bytes without panic, written as told.

pub(crate) mod address;
pub(crate) mod message;
pub(crate) mod sdp;
