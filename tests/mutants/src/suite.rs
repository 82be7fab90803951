//! The tests of the copy: which exist, how long each takes, and which mutants each reaches.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::folder::Folder;
use crate::parallel::in_parallel;

/// The limit of a test while no mutant is active.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The file with the measured tests.
pub(crate) const TESTS: &str = "tests.json";

/// The octets of memory that a test may allocate.
const MEMORY_LIMIT: u64 = 4 << 30;

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Suite {
    pub(crate) tests: Vec<Test>,
}

/// One test function.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Test {
    binary: PathBuf,
    /// The time at which the binary was built.
    built: SystemTime,
    /// The folder of the crate.
    folder: PathBuf,
    /// The crate's name.
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// The mutants that the test reaches.
    pub(crate) reached: BTreeSet<u32>,
}

/// The end of a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed,
    TimedOut,
}

impl Suite {
    /// Builds the test binaries of the copy, except those of the crates in `excluded`, and lists the
    /// tests that are not ignored.
    pub(crate) fn build(folder: &Folder, excluded: &[String]) -> Result<Self, String> {
        eprintln!("building the tests; cargo prints its progress");
        // Tests start the program.
        for arguments in [&["build", "--workspace", "--bins"][..], &["test", "--workspace", "--no-run"]] {
            let mut cargo = folder.cargo();
            cargo.args(arguments).arg("--message-format=json").stdout(Stdio::piped());
            cargo.args(excluded.iter().flat_map(|name| ["--exclude", name]));
            let output = cargo.spawn().and_then(std::process::Child::wait_with_output);
            let output = output.map_err(|error| format!("cargo was not started: {error}"))?;
            if !output.status.success() {
                return Err("the copy does not compile".to_owned());
            }
            if arguments.first() == Some(&"test") {
                return Self::list(&String::from_utf8_lossy(&output.stdout));
            }
        }
        Err("no tests were built".to_owned())
    }

    /// Lists the tests of the binaries in cargo's messages.
    fn list(messages: &str) -> Result<Self, String> {
        let mut tests = Vec::new();
        for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let (Some(binary), true) = (message["executable"].as_str(), message["profile"]["test"] == true)
            else {
                continue;
            };
            let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
            let folder = manifest.parent().unwrap_or(Path::new("."));
            let package = message["package_id"].as_str().map(package_name).unwrap_or_default();
            let list = |more: &[&str]| -> Result<BTreeSet<String>, String> {
                let listed = Command::new(binary)
                    .args(["--list", "--format", "terse"])
                    .args(more)
                    .current_dir(folder)
                    .output()
                    .map_err(|error| format!("{binary} was not started: {error}"))?;
                let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
                Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
            };
            let built = fs::metadata(binary).and_then(|metadata| metadata.modified());
            let built = built.map_err(|error| format!("{binary}: {error}"))?;
            let ignored = list(&["--ignored"])?;
            tests.extend(list(&[])?.difference(&ignored).map(|name| Test {
                binary: binary.into(),
                built,
                folder: folder.to_owned(),
                package: package.clone(),
                name: name.clone(),
                seconds: 0.0,
                reached: BTreeSet::new(),
            }));
        }
        Ok(Self { tests })
    }

    /// Runs each test once without a mutant, except those of a binary that an earlier call has
    /// measured, and writes `tests.json`. Tests of `packages` come first, so that their mutants can be
    /// run before the last test is measured. Tests that fail are removed: a copy with switches is not
    /// the repository that a check of sources expects.
    pub(crate) fn measure(mut self, folder: &Folder, packages: &[String], jobs: usize) -> Result<(), String> {
        let before: Self = folder.read(TESTS).unwrap_or_default();
        let key = |test: &Test| (test.binary.clone(), test.built, test.name.clone());
        let Self { mut tests } = before;
        let listed: HashSet<_> = self.tests.iter().map(key).collect();
        tests.retain(|test| listed.contains(&key(test)));
        let measured: HashSet<_> = tests.iter().map(key).collect();
        self.tests.retain(|test| !measured.contains(&key(test)));
        self.tests.sort_by_key(|test| !packages.contains(&test.package));
        let count = self.tests.len();
        let reached = folder.0.join("reached");
        fs::create_dir_all(&reached).map_err(|error| format!("{}: {error}", reached.display()))?;
        let numbered: Vec<(usize, Test)> = self.tests.into_iter().enumerate().collect();
        let mut written = folder.write(TESTS, &Self { tests: tests.clone() });
        in_parallel(
            jobs,
            numbered,
            |(index, mut test)| {
                let file = reached.join(index.to_string());
                let _ = fs::remove_file(&file);
                let (end, seconds) = test.run("MUTANTS_REACHED", file.as_os_str(), TIME_LIMIT)?;
                let numbers = fs::read_to_string(&file).unwrap_or_default();
                test.reached = numbers.lines().filter_map(|line| line.parse().ok()).collect();
                test.seconds = seconds;
                Ok((end, test))
            },
            |done, (end, test): (End, Test)| {
                match end {
                    End::Passed => tests.push(test),
                    End::Failed | End::TimedOut => eprintln!("left out, because it fails: {}", test.name),
                }
                if done % 100 == 0 || done == count {
                    eprintln!("{done} of {count} tests measured");
                    // A prepare that is stopped continues here.
                    written = folder.write(TESTS, &Self { tests: tests.clone() });
                }
            },
        )?;
        written
    }
}

/// Returns the name in a package id: `path+file:///folder/net#0.1.0` or `...#name@0.1.0`.
pub(crate) fn package_name(id: &str) -> String {
    let (path, end) = id.rsplit_once('#').unwrap_or((id, ""));
    match end.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => path.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

impl Test {
    /// Runs the test with one variable in its environment. Returns its end, and its duration in seconds.
    #[expect(clippy::disallowed_methods, reason = "the duration of a real process is measured")]
    pub(crate) fn run(
        &self,
        variable: &str,
        value: impl AsRef<std::ffi::OsStr>,
        limit: Duration,
    ) -> Result<(End, f64), String> {
        use std::os::unix::process::CommandExt;

        let start = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(["--exact", &self.name, "--test-threads=1", "-q"])
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env(variable, value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} was not started: {error}", self.binary.display()))?;
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // A mutant may allocate memory in an endless loop.
        let limited = Rlimit { current: Some(MEMORY_LIMIT), maximum: Some(MEMORY_LIMIT) };
        let _ = prlimit(process, Resource::Data, limited);
        let end = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => break End::Passed,
                Some(_) => break End::Failed,
                None if start.elapsed() > limit => break End::TimedOut,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        // A test that was stopped, or that failed, may leave processes behind.
        if let Some(group) = process {
            let _ = kill_process_group(group, Signal::KILL);
        }
        child.wait().map_err(|error| error.to_string())?;
        Ok((end, start.elapsed().as_secs_f64()))
    }
}
