//! The modules of each crate form a tree: no two files import each other, directly or in a circle.
//!
//! A parent module and its descendants are the exception: a parent re-exports and calls its children, and a child may use
//! what its parent defines. The sources are read as text: comments, strings and test modules are removed, paths that begin with
//! `crate`, `super` or `self` are collected, and each is followed through re-exports to the file that defines the name.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failing test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Circles that are known, as (crate, number of files, reason). The number may shrink, never grow.
const KNOWN: &[(&str, usize, &str)] = &[];

#[test]
fn no_two_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut wrong = Vec::new();
    for member in members(root) {
        let krate = Crate::read(&root.join(&member));
        let circles = krate.circles();
        let files: usize = circles.iter().map(Vec::len).sum();
        let allowed = KNOWN.iter().find(|known| known.0 == member).map_or(0, |known| known.1);
        if files > allowed {
            wrong.push(format!("{member}: {files} files in circles, {allowed} known"));
            for circle in circles {
                wrong.push(format!("  {}", circle.join(" ")));
                wrong.extend(krate.edges_within(&circle).into_iter().map(|edge| format!("    {edge}")));
            }
        } else if files < allowed {
            wrong
                .push(format!("{member}: only {files} files in circles are left; lower its number in KNOWN"));
        }
    }
    assert!(wrong.is_empty(), "files that import each other:\n{}", wrong.join("\n"));
}

#[test]
fn a_cycle_through_a_re_export_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("src");
    fs::create_dir(&source).unwrap();
    let write = |name: &str, text: &str| fs::write(source.join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\npub use a::{A, Other};\npub use b::B;\n");
    write("a.rs", "use crate::B; // use crate::c::C;\npub struct A(B);\npub struct Other;\n");
    write(
        "b.rs",
        "pub struct B;\nimpl B { fn other() -> super::Other { let _ = \"crate::a::A\"; todo() } }\n",
    );
    let krate = Crate::read(folder.path());
    assert_eq!(krate.circles(), [["a.rs", "b.rs"]]);

    // An import that only a test uses does not count.
    write("b.rs", "pub struct B;\n#[cfg(test)]\nmod tests { use super::super::Other; }\n");
    assert!(Crate::read(folder.path()).circles().is_empty());
}

/// Folders of the workspace's members.
fn members(root: &Path) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        workspace: Workspace,
    }
    #[derive(serde::Deserialize)]
    struct Workspace {
        members: Vec<String>,
    }
    let manifest: Manifest = toml::from_str(&fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    manifest.workspace.members
}

/// Path of a module from the root of its crate; the root is empty.
type ModulePath = Vec<String>;

struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

struct Module {
    /// Path of the file below `src`.
    file: String,
    /// Names that the module imports or re-exports, with the full path of each.
    imports: BTreeMap<String, ModulePath>,
    /// Glob imports.
    globs: Vec<ModulePath>,
    /// Every path in the file that leads to another module of the crate.
    uses: BTreeSet<ModulePath>,
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let source = folder.join("src");
        let mut files = Vec::new();
        collect(&source, &mut files);
        let mut modules = BTreeMap::new();
        for file in files {
            let relative = file.strip_prefix(&source).unwrap();
            let mut path: ModulePath =
                relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                path.pop();
            }
            if path.iter().any(|part| part == "tests" || part.ends_with("_tests")) {
                continue;
            }
            let text = code(&fs::read_to_string(&file).unwrap());
            modules.insert(path.clone(), Module::read(relative.display().to_string(), &path, &text));
        }
        Self { modules }
    }

    /// The file that defines the last name of `path`, found through re-exports.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&ModulePath> {
        let known = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let (key, module) = self.modules.get_key_value(&path[..known])?;
        let Some(name) = path.get(known).filter(|_| depth < 16) else { return Some(key) };
        if let Some(target) = module.imports.get(name).filter(|target| target.as_slice() != path) {
            let target: ModulePath = target.iter().chain(&path[known + 1..]).cloned().collect();
            return self.resolve(&target, depth + 1);
        }
        for glob in &module.globs {
            let target: ModulePath = glob.iter().chain(&path[known..]).cloned().collect();
            if let Some(found) =
                self.resolve(&target, depth + 1).filter(|found| **found != *glob && *found != key)
            {
                return Some(found);
            }
        }
        Some(key)
    }

    /// Imports between files, except for those between a parent module and its descendants.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, module) in &self.modules {
            for used in &module.uses {
                let Some(target) = self.resolve(used, 0) else { continue };
                if !target.starts_with(path) && !path.starts_with(target) {
                    edges.entry(&module.file).or_default().insert(&self.modules[target].file);
                }
            }
        }
        edges
    }

    /// Sets of files. Each file reaches all other files of its set through imports.
    fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|file| (*file, reachable(&edges, file))).collect();
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            let circle: Vec<String> = reached
                .iter()
                .filter(|other| reach.get(*other).is_some_and(|back| back.contains(file)))
                .map(|other| (*other).to_owned())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn edges_within(&self, circle: &[String]) -> Vec<String> {
        let inside = |file: &&str| circle.iter().any(|other| other == file);
        self.edges()
            .iter()
            .filter(|(from, _)| inside(from))
            .flat_map(|(from, to)| to.iter().filter(|to| inside(to)).map(move |to| format!("{from} -> {to}")))
            .collect()
    }
}

fn reachable<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&'a str> = edges.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(edges.get(file).into_iter().flatten());
        }
    }
    reached
}

impl Module {
    fn read(file: String, own: &[String], text: &str) -> Self {
        let mut module = Self { file, imports: BTreeMap::new(), globs: Vec::new(), uses: BTreeSet::new() };
        let mut children = BTreeSet::new();
        for statement in statements(text, "mod ") {
            children.insert(statement.trim_end_matches(';').trim().to_owned());
        }
        for statement in statements(text, "use ") {
            for (path, name) in expand(statement.trim_end_matches(';')) {
                let Some(path) = absolute(own, &path, &children) else { continue };
                if name == "*" {
                    module.globs.push(path.clone());
                } else {
                    module.imports.insert(name, path.clone());
                }
                module.uses.insert(path);
            }
        }
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let before = text[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let path: Vec<String> = text[at..]
                    .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .next()
                    .unwrap_or_default()
                    .split("::")
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect();
                if let Some(path) = absolute(own, &path, &children) {
                    module.uses.insert(path);
                }
            }
        }
        module
    }
}

/// The text between the keyword and the semicolon, for each statement of a file that begins with a
/// keyword. Blocks (`mod x { .. }`) are left out.
fn statements<'a>(text: &'a str, keyword: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(keyword) {
        let before = text[..at].trim_end();
        let starts =
            before.is_empty() || before.ends_with([';', '}', '{', ']', ')']) || before.ends_with("pub");
        if starts && text[..at].ends_with(|c: char| c.is_whitespace()) | before.is_empty() {
            let rest = &text[at + keyword.len()..];
            let end = rest.find(';').unwrap_or(rest.len());
            if keyword == "use " || !rest[..end].contains('{') {
                found.push(&rest[..end]);
            }
        }
    }
    found
}

/// The paths of a `use` tree, each with the name that it brings into scope.
fn expand(tree: &str) -> Vec<(Vec<String>, String)> {
    fn go(tree: &str, prefix: &[String], out: &mut Vec<(Vec<String>, String)>) {
        let tree = tree.trim();
        if let Some(open) = tree.find('{') {
            let mut path = prefix.to_vec();
            path.extend(
                tree[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()),
            );
            let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
            let (mut depth, mut start) = (0, 0);
            for (at, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        go(&inner[start..at], &path, out);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            go(&inner[start..], &path, out);
        } else if !tree.is_empty() {
            let (tree, alias) =
                tree.split_once(" as ").map_or((tree, None), |(tree, alias)| (tree, Some(alias.trim())));
            let mut path = prefix.to_vec();
            path.extend(tree.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
            if path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let mut name = alias.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
            if path.last().is_some_and(|last| last == "*") {
                path.pop();
                name = "*".to_owned();
            }
            out.push((path, name));
        }
    }
    let mut out = Vec::new();
    go(tree, &[], &mut out);
    out
}

/// The path from the root of the crate; nothing if it leads out of the crate.
fn absolute(own: &[String], path: &[String], children: &BTreeSet<String>) -> Option<ModulePath> {
    let mut base = own.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        child if children.contains(child) => {}
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// The text without comments, strings and items under `#[cfg(test)]`.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if c == '"' {
            string_end(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else if rest.starts_with("#[cfg(test)]") {
            item_end(rest, out.len() - out.rfind('\n').map_or(0, |at| at + 1))
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    out
}

/// Number of hashes of a raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of the item that begins here, `indent` columns from the left: up to its semicolon, or up to a closing brace in the same
/// column. rustfmt guarantees the column.
fn item_end(rest: &str, indent: usize) -> usize {
    let body = rest.find(['{', ';']).unwrap_or(rest.len());
    if rest[body..].starts_with('{') {
        let end = format!("\n{}}}", " ".repeat(indent));
        rest.find(&end).map_or(rest.len(), |at| at + end.len())
    } else {
        rest.len().min(body + 1)
    }
}
