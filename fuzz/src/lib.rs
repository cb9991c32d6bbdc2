//! What the fuzz targets share: the assertions of the crate's tests, and a mutator that knows what HTTP is made of.

// The assertions are tests: they say so by a panic.
#![allow(missing_docs)]

#[path = "../../tests/assertions/mod.rs"]
mod assertions;
mod mutator;

pub use mutator::mutate;

/// Panics if a property of the target is violated.
///
/// # Panics
/// That is what it is for.
pub fn check(target: &str, data: &[u8]) {
    let (_, check) = assertions::TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    check(data);
}
