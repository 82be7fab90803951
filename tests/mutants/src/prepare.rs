//! Makes a copy of the repository with all mutants that compile, builds it, and finds out which test
//! reaches which mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::folder::{Folder, Mutants, read, write};
use crate::list::{self, Mutant};
use crate::suite::Suite;
use crate::switch::switched;

/// The call of a switch in a source text, up to the number.
const SWITCH: &str = "mutant_switch::on(";

/// Checks of the copy after which a remaining error is reported.
const MAX_CHECKS: usize = 40;

/// Prepares the mutants of `packages`. The tests of the crates in `excluded` are not built.
pub(crate) fn prepare(
    folder: &Folder,
    packages: &[String],
    excluded: &[String],
    jobs: usize,
) -> Result<(), String> {
    let names = copy(folder, packages)?;
    let before: Mutants = folder.read("mutants.json").unwrap_or_default();
    let known = before.active.clone();
    let mut mutants = before.renewed(list::list(packages)?);
    for check in 1.. {
        mutants.active = put_switches(folder, &mutants)?;
        keep_times(folder, &names)?;
        // An earlier `prepare` has found that these compile.
        if mutants.active.is_subset(&known) {
            break;
        }
        eprintln!("check {check}: {} of {} mutants", mutants.active.len(), mutants.list.len());
        let errors = check_copy(folder, packages)?;
        if errors.is_empty() {
            break;
        }
        let broken: BTreeSet<u32> = errors.iter().flat_map(|error| causes(&folder.tree(), error)).collect();
        if broken.is_disjoint(&mutants.active) || check == MAX_CHECKS {
            let first = errors.first().map(rendered).unwrap_or_default();
            return Err(format!("the copy does not compile, and no mutant seems to be the cause:\n{first}"));
        }
        mutants.active.retain(|number| !broken.contains(number));
    }
    folder.write("mutants.json", &mutants)?;
    Suite::build(folder, excluded)?.measure(folder, packages, jobs)
}

/// Copies the files of the repository, gives each package the switch, and returns the files' names.
fn copy(folder: &Folder, packages: &[String]) -> Result<Vec<String>, String> {
    let (tree, previous) = (folder.tree(), folder.previous_tree());
    if tree.exists() {
        let _ = fs::remove_dir_all(&previous);
        fs::rename(&tree, &previous).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    let listed = Command::new("git").args(["ls-files", "-z"]).output();
    let listed = listed.map_err(|error| format!("git was not started: {error}"))?;
    let names: Vec<String> =
        String::from_utf8_lossy(&listed.stdout).split_terminator('\0').map(str::to_owned).collect();
    for name in &names {
        let to = tree.join(name);
        let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(name, &to));
        copied.map_err(|error| format!("{name} cannot be copied: {error}"))?;
    }
    // Switches cause thousands of warnings, and constant operations that a mutant makes overflow.
    let (manifest, lints) = (tree.join("Cargo.toml"), "[workspace.lints.rust]\n");
    let allowed = ["warnings", "arithmetic_overflow", "unconditional_panic"];
    let allowed: String = allowed.iter().map(|lint| format!("{lint} = \"allow\"\n")).collect();
    write(&manifest, &read(&manifest)?.replacen(lints, &format!("{lints}{allowed}"), 1))?;
    let switch = folder.0.join("switch");
    for name in ["Cargo.toml", "src/lib.rs"] {
        let (text, path) = (read(&Path::new("tests/mutants/switch").join(name))?, switch.join(name));
        if read(&path).ok().as_ref() != Some(&text) {
            write(&path, &text)?;
        }
    }
    // Some tests use data beside the repository.
    let (shared, link) = (Path::new("../shared"), folder.0.join("shared"));
    if let (Ok(shared), false) = (shared.canonicalize(), link.exists()) {
        std::os::unix::fs::symlink(shared, &link).map_err(|error| format!("{}: {error}", link.display()))?;
    }
    let metadata = folder.cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let metadata = metadata.map_err(|error| format!("cargo was not started: {error}"))?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).map_err(|error| error.to_string())?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, manifest) = (package["name"].as_str(), package["manifest_path"].as_str());
        let (Some(name), Some(manifest)) = (name, manifest) else { continue };
        if packages.iter().any(|package| package == name) {
            let manifest = Path::new(manifest);
            let dependency =
                format!("[dependencies]\nmutant-switch = {{ path = \"{}\" }}\n", switch.display());
            write(manifest, &read(manifest)?.replacen("[dependencies]\n", &dependency, 1))?;
        }
    }
    Ok(names)
}

/// Gives each file that has the contents of the previous copy the time of that copy, so that cargo
/// does not compile it again.
fn keep_times(folder: &Folder, names: &[String]) -> Result<(), String> {
    for name in names {
        let (path, previous) = (folder.tree().join(name), folder.previous_tree().join(name));
        let Ok(contents) = fs::read(&previous) else { continue };
        if fs::read(&path).ok() == Some(contents) {
            let time = fs::metadata(&previous).and_then(|metadata| metadata.modified());
            let set = time.and_then(|time| fs::File::options().append(true).open(&path)?.set_modified(time));
            set.map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Writes the active mutants into the sources of the copy, and returns those that were written.
fn put_switches(folder: &Folder, mutants: &Mutants) -> Result<BTreeSet<u32>, String> {
    let mut files: BTreeMap<&str, Vec<(u32, &Mutant)>> = BTreeMap::new();
    for (&number, mutant) in &mutants.list {
        let file = files.entry(&mutant.file).or_default();
        if mutants.active.contains(&number) {
            file.push((number, mutant));
        }
    }
    let mut active = BTreeSet::new();
    for (name, mutants) in files {
        let switched =
            switched(&read(Path::new(name))?, &mutants).map_err(|error| format!("{name}: {error}"))?;
        active.extend(switched.numbers);
        let path = folder.tree().join(name);
        // An unchanged file is not compiled again.
        if read(&path)? != switched.source {
            write(&path, &switched.source)?;
        }
    }
    Ok(active)
}

/// Checks the packages, and returns the compiler's errors.
fn check_copy(folder: &Folder, packages: &[String]) -> Result<Vec<Value>, String> {
    let mut cargo = folder.cargo();
    cargo.args(["check", "--keep-going", "--message-format=json"]).stderr(Stdio::null());
    for package in packages {
        cargo.args(["-p", package]);
    }
    let output = cargo.output().map_err(|error| format!("cargo was not started: {error}"))?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors: Vec<Value> = messages
        .filter(|message| message["reason"] == "compiler-message")
        .map(|message| message["message"].clone())
        .filter(|message| message["level"] == "error" && message["spans"] != Value::Array(Vec::new()))
        .collect();
    if errors.is_empty() && !output.status.success() {
        return Err("`cargo check` of the copy failed; run it there to see the reason".to_owned());
    }
    Ok(errors)
}

fn rendered(error: &Value) -> &str {
    error["rendered"].as_str().unwrap_or_default()
}

/// Returns the mutants that cause a compiler error: those in the code that the error points at, else
/// the last one before it, else those in the text of the error.
fn causes(tree: &Path, error: &Value) -> BTreeSet<u32> {
    let spans = error["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    // A `match` in which the guards of mutants leave no arm without a condition.
    let incomplete = error["code"]["code"] == "E0004";
    let primary = spans.iter().filter(|span| span["is_primary"] == true);
    for span in primary.chain(spans) {
        let Some(code) = pointed_at(tree, span, incomplete) else { continue };
        if !code.is_empty() {
            return code;
        }
    }
    numbers(rendered(error))
}

fn pointed_at(tree: &Path, span: &Value, incomplete: bool) -> Option<BTreeSet<u32>> {
    /// Octets of a span that is still the place of one error, and before a span.
    const NEAR: usize = 2_000;
    const BEFORE: usize = 400;

    let source = fs::read(tree.join(span["file_name"].as_str()?)).ok()?;
    let offset = |name: &str| span[name].as_u64().and_then(|offset| usize::try_from(offset).ok());
    let (start, end) = (offset("byte_start")?, offset("byte_end")?);
    let text = |from: usize, to: usize| {
        String::from_utf8_lossy(source.get(from..to.min(source.len())).unwrap_or_default()).into_owned()
    };
    if incomplete {
        let rest = text(end, source.len());
        return Some(numbers(block(&rest)));
    }
    let inside = if end - start < NEAR { numbers(&text(start, end + 1)) } else { BTreeSet::new() };
    if !inside.is_empty() {
        return Some(inside);
    }
    let before = text(start.saturating_sub(BEFORE), start + 30);
    Some(before.rfind(SWITCH).map(|at| numbers(before.get(at..).unwrap_or_default())).unwrap_or_default())
}

/// Returns the first block in braces.
pub(crate) fn block(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth <= 1 => return text.get(..at).unwrap_or_default(),
            '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// Returns the numbers of all switches in a text.
pub(crate) fn numbers(text: &str) -> BTreeSet<u32> {
    let after = text.split(SWITCH).skip(1);
    after.filter_map(|rest| rest.split(')').next()?.parse().ok()).collect()
}
