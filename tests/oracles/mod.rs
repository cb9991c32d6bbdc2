//! What a server must do with bytes, said a second time: written from the RFC's text and the rules of SECURITY.md,
//! without a look at the parser, and without the crates it is built on. Slow and plain, so that it can be read against
//! the text.
//!
//! [`recogniser`] reads requests, [`validator`] reads responses, [`client`] writes the first and takes in the second.
//! [`subject`] is no oracle: it drives the connection under test and tells what it saw in the recogniser's words.

// Each test crate takes its part of these; what it leaves is not dead.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod grammar;
pub(crate) mod recogniser;
pub(crate) mod subject;
pub(crate) mod validator;
