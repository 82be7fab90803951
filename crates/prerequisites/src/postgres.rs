//! A PostgreSQL server for tests and benchmarks, with a database of its own in a temporary folder.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, process};

/// The folder in which Debian installs the programs of each version.
pub(crate) const DEBIAN: &str = "/usr/lib/postgresql";
/// The user and the database of the server.
const USER: &str = "landfall";
/// Attempts to find a free port.
const ATTEMPTS: usize = 5;

/// Returns the folder with `initdb` and `postgres`: the first one in the PATH, or that of the newest
/// version in Debian's folder.
pub fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> =
        fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    debian.sort();
    let is_whole = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    env::split_paths(&path).chain(debian.into_iter().rev()).find(is_whole)
}

/// A running server. It ends, and its folder is removed, when the value is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    /// User and group of the processes, because PostgreSQL does not run as root.
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    port: u16,
    process: Option<Child>,
}

impl PostgresServer {
    /// Creates a database and starts a server on a free port of the loopback interface. Its commits
    /// survive the end of the server, but not that of the machine, unless the settings (such as
    /// `fsync=on`) say otherwise.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let programs = programs().ok_or_else(|| io::Error::other("PostgreSQL is not installed"))?;
        // A test that was killed leaves its folder, and another process can get its number.
        let folder = loop {
            let name =
                format!("landfall-postgres-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let folder = env::temp_dir().join(name);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => break created.map(|()| folder)?,
            }
        };
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = Self { programs, user: unprivileged(), folder, settings, port: 0, process: None };
        if let Some((user, group)) = server.user {
            std::os::unix::fs::chown(&server.folder, Some(user), Some(group))?;
        }
        let mut initdb = server.program("initdb");
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        let output = initdb.arg(server.data()).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        for attempt in 1.. {
            server.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            match server.run() {
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {}
                Ok(()) => break,
            }
        }
        Ok(server)
    }

    /// The port of the server on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of the database, without a password.
    pub fn address(&self) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder of the database.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes a file to the folder of the database that only the server can read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_file(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let file = self.data().join(name);
        fs::write(&file, content)?;
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        match self.user {
            Some((user, group)) => std::os::unix::fs::chown(&file, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Kills the server with SIGKILL, and waits until its other processes have noticed it and ended.
    ///
    /// # Errors
    /// The process cannot be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id()));
        process.kill()?;
        process.wait()?;
        // A new server refuses to start while one of them runs.
        for child in children.unwrap_or_default().split_whitespace() {
            while fs::read_link(Path::new("/proc").join(child).join("exe")).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Starts the server again on the same port, after [`kill`](Self::kill).
    ///
    /// # Errors
    /// The server does not start.
    pub fn run(&mut self) -> io::Result<()> {
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        let always =
            ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=200", "log_min_messages=log"];
        postgres.arg("-p").arg(self.port.to_string());
        for setting in always.into_iter().chain(self.settings.iter().map(String::as_str)) {
            postgres.args(["-c", setting]);
        }
        let mut process = postgres.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let Some(log) = process.stderr.take() else { return Err(io::Error::other("no log")) };
        let mut log = BufReader::new(log);
        let mut read = String::new();
        loop {
            let start = read.len();
            if log.read_line(&mut read)? == 0 {
                // The log has ended, and so has the process.
                let _ = process.wait();
                return Err(io::Error::other(read));
            }
            if read.get(start..).is_some_and(|line| line.contains("ready to accept connections")) {
                break;
            }
        }
        self.process = Some(process);
        // The server would stop if nobody read its log.
        std::thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // What cannot be ended or removed stays; the test has ended.
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the user and the group `postgres`, or `nobody`, if this process runs as root.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root =
        fs::metadata("/proc/self").ok().map(|own| std::os::unix::fs::MetadataExt::uid(&own)) == Some(0);
    let users = fs::read_to_string(Path::new("/etc/passwd")).ok().filter(|_| is_root)?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}
