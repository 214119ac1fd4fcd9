//! Lucida, the server.
