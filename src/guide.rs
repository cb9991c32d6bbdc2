//! The guide: what a user of the crate needs and its reference does not tell.
//!
//! | page | read it when |
//! |---|---|
//! | [Write a driver](driver) | you bring a connection to your sockets: blocking, with tasks, or with completions |
//! | [Actions, waits and ends](actions) | you want to know what each action, deadline and close reason asks of you |
//! | [Test an application](testing) | you want to see an application meet slow, broken and leaving clients, without a socket |
//! | [Come from elsewhere](migration) | you know h11, hyper or uvicorn, and look for what a call of theirs has become |
//!
//! All code in it is compiled and run by `cargo test`. The pages are the files of `docs/`; these modules hold nothing
//! else.

#[allow(unused_imports, reason = "the links of the pages resolve through it")]
use crate::*;

#[doc = include_str!("../docs/driver.md")]
pub mod driver {}

#[doc = include_str!("../docs/actions.md")]
pub mod actions {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/migration.md")]
pub mod migration {}
