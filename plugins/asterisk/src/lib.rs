//! The Asterisk driver: ARI for the hook, AMI for the talk.
