//! Reads what the camera wrote into a photo: when, where and with what.
