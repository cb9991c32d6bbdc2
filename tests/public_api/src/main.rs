//! Compares the public API with `tests/public-api.txt`, and writes it there with `SANSGI_BLESS=1`.
//!
//! rustdoc's JSON is not stable: the compiler writes it when `RUSTC_BOOTSTRAP` says so, in a format that has a number.
//! With a compiler that writes another format than the one which is read here, nothing is compared, and that is said.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use serde_json::Value;

/// The crate's directory.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn cargo(arguments: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = command.args(arguments).current_dir(root()).env("RUSTC_BOOTSTRAP", "1").output()?;
    if !output.status.success() {
        return Err(format!("cargo {}\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(output.stdout)
}

/// The crate's features but `default`, and where its documentation is built.
fn metadata() -> Result<(Vec<String>, PathBuf), Box<dyn Error>> {
    let metadata: Value = serde_json::from_slice(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let features = metadata["packages"][0]["features"].as_object().ok_or("a package without features")?;
    let target = metadata["target_directory"].as_str().ok_or("no target directory")?;
    let mut features: Vec<String> = features.keys().filter(|name| *name != "default").cloned().collect();
    // First those that others need, so that what is theirs is listed as theirs.
    features.sort_by_key(|name| name != "std");
    Ok((features, Path::new(target).join("public-api")))
}

enum Listing {
    Items(Vec<String>),
    /// The format of this number is not the one which is read here.
    Unreadable(u64),
}

/// The items that a user of the crate can name, with these features.
fn listing(features: &str, target: &Path) -> Result<Listing, Box<dyn Error>> {
    let directory = target.to_str().ok_or("a directory that is not UTF-8")?;
    let features = ["--no-default-features", "--features", features, "--target-dir", directory];
    let json = ["--", "-Z", "unstable-options", "--output-format", "json"];
    cargo(&[&["rustdoc", "--quiet", "--lib"], &features[..], &json].concat())?;
    let path = target.join("doc/sansgi.json");
    let format = serde_json::from_slice::<Value>(&fs::read(&path)?)?["format_version"].as_u64().ok_or("no format")?;
    if format != u64::from(rustdoc_types::FORMAT_VERSION) {
        return Ok(Listing::Unreadable(format));
    }
    let api = public_api::Builder::from_rustdoc_json(path).omit_blanket_impls(true).build()?;
    let (mut trait_impls, mut items) = (BTreeSet::new(), Vec::new());
    for item in api.items() {
        let line = item.to_string();
        if line.starts_with("impl") {
            let (name, target) = trait_and_type(&line);
            if target.is_empty() {
                continue; // only the heading of methods
            }
            trait_impls.insert(item.id());
            // What only the compiler and its library know of.
            if matches!(name.as_str(), "StructuralPartialEq" | "Freeze" | "!Freeze" | "UnsafeUnpin" | "!UnsafeUnpin") {
                continue;
            }
        }
        // The guide is there for rustdoc alone.
        if line.starts_with("pub mod sansgi::guide") {
            continue;
        }
        // What a trait asks for says no more than that the trait is there, but for the types. And a `From` is listed
        // with both of its types.
        let is_asked_for = item.parent_id().is_some_and(|parent| trait_impls.contains(&parent));
        if (!is_asked_for || line.starts_with("pub type")) && !items.contains(&line) {
            items.push(line);
        }
    }
    Ok(Listing::Items(items))
}

/// Of `impl<'a> path::Trait<X> for Type<'a>`: `Trait<X>` and `Type<'a>`.
fn trait_and_type(line: &str) -> (String, &str) {
    let after = match line.strip_prefix("impl<").and_then(|rest| rest.split_once("> ")) {
        Some((_, after)) => after,
        None => line.trim_start_matches("impl "),
    };
    let (name, target) = after.split_once(" for ").unwrap_or((after, ""));
    let (path, arguments) = name.find('<').map_or((name, ""), |at| name.split_at(at));
    let sign = if path.starts_with('!') { "!" } else { "" };
    let short = path.rsplit("::").next().unwrap_or(path).trim_start_matches('!');
    (format!("{sign}{short}{arguments}"), target)
}

/// One line for each item, and one for all the traits of a type: where its last one stands.
fn section(title: &str, items: &[String]) -> String {
    // `Type<'_>` and `Type<'a>` are one.
    let of_type = |item: &String| {
        let (name, target) = trait_and_type(item);
        (target.replace("<'_>", "").replace("<'a>", ""), name)
    };
    let mut lines = vec![format!("# {title}"), String::new()];
    for (index, item) in items.iter().enumerate() {
        if !item.starts_with("impl") {
            lines.push(item.clone());
            continue;
        }
        let is_impl = |item: &&String| item.starts_with("impl");
        let (target, _) = of_type(item);
        if items.iter().skip(index + 1).filter(is_impl).all(|later| of_type(later).0 != target) {
            let traits = items.iter().filter(is_impl).map(of_type).filter(|(other, _)| *other == target);
            let traits: Vec<_> = traits.map(|(_, name)| name).collect();
            lines.push(format!("{target}: {}", traits.join(" + ")));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn diff(old: &str, new: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(old), lines(new));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}\n"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (features, target) = metadata()?;
    let mut sets = vec![("without features".to_owned(), String::new())];
    sets.extend(features.iter().map(|feature| (format!("with `{feature}`, besides"), feature.clone())));
    sets.push(("with all of them at once, besides".to_owned(), features.join(",")));
    let (mut known, mut text) = (Vec::<String>::new(), String::new());
    let mut without = Vec::new();
    for (title, set) in &sets {
        let items = match listing(set, &target)? {
            Listing::Items(items) => items,
            Listing::Unreadable(format) => {
                let ours = rustdoc_types::FORMAT_VERSION;
                println!("skipped: this compiler writes format {format} of rustdoc's JSON, and {ours} is read here");
                return Ok(ExitCode::SUCCESS);
            }
        };
        if let Some(lost) = without.iter().find(|item| !items.contains(item)) {
            println!("a feature must only add; {title} there is no\n{lost}");
            return Ok(ExitCode::FAILURE);
        }
        let added: Vec<_> = items.iter().filter(|item| !known.contains(item)).cloned().collect();
        if !added.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text += &section(title, &added);
        }
        if set.is_empty() {
            without = items;
        }
        known.extend(added);
    }
    let path = root().join("tests/public-api.txt");
    if env::var_os("SANSGI_BLESS").is_some() {
        fs::write(&path, &text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let committed = fs::read_to_string(&path)?;
    if committed == text {
        return Ok(ExitCode::SUCCESS);
    }
    print!("the public API is not tests/public-api.txt; SANSGI_BLESS=1 writes it there\n{}", diff(&committed, &text));
    Ok(ExitCode::FAILURE)
}
