//! The port on which programs reach a modem: a pseudo-terminal, or a Unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use world::Fault;

use super::pty::Pty;
use crate::Claim;

/// Maximum wait for a program that does not read. The octets are then lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Maximum number of octets per read.
const CHUNK: usize = 4096;

/// The beginning of an address that names a Unix socket.
const UNIX: &str = "unix:";

/// The modem's side of a port.
#[derive(Debug)]
pub enum ModemPort {
    /// A pseudo-terminal. It does not report when a program opens or closes it.
    Pty(Pty),
    /// A Unix socket.
    Socket(SocketPort),
}

/// An event of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// Octets from the program, at least one.
    Received(Vec<u8>),
    /// The program has closed the port.
    Closed,
}

impl ModemPort {
    /// Opens a port: a Unix socket at PATH for the address `unix:PATH`, and otherwise a
    /// pseudo-terminal with the address as a link to it, if there is one. It must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// The port or its link cannot be created.
    pub fn open(address: Option<&Path>) -> Result<Self, Fault> {
        match address.and_then(|address| address.to_str()).and_then(|address| address.strip_prefix(UNIX)) {
            Some(path) => SocketPort::open(Path::new(path)).map(Self::Socket),
            None => Pty::open(address).map(Self::Pty),
        }
    }

    /// Returns the address of the port, for messages and programs.
    pub fn address(&self) -> String {
        match self {
            Self::Pty(pty) => pty.path().display().to_string(),
            Self::Socket(socket) => format!("{UNIX}{}", socket.path.display()),
        }
    }

    /// Waits for the next event. The future can be dropped at any time.
    ///
    /// # Errors
    /// The port has failed.
    pub async fn next(&mut self) -> io::Result<PortEvent> {
        match self {
            Self::Pty(pty) => pty.read().await.map(PortEvent::Received),
            Self::Socket(socket) => socket.next().await,
        }
    }

    /// Sends octets to the program. Octets that nobody reads are lost.
    ///
    /// # Errors
    /// The port has failed.
    pub async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Pty(pty) => pty.write(octets).await,
            Self::Socket(socket) => {
                socket.write(octets).await;
                Ok(())
            }
        }
    }
}

/// A Unix socket as the port of a modem. It serves one connection at a time; the next one waits until
/// the program closes the former.
#[derive(Debug)]
pub struct SocketPort {
    listener: UnixListener,
    connection: Option<UnixStream>,
    path: PathBuf,
    _claim: Claim,
}

impl SocketPort {
    fn open(path: &Path) -> Result<Self, Fault> {
        let what = || format!("cannot create the socket {}", path.display());
        let next = "choose a path in an existing, writable folder, of at most 107 characters";
        let claim = Claim::of(path).map_err(|error| Fault::caused_by(error, what(), next))?;
        let claim = claim.ok_or_else(|| {
            Fault::usage(what(), "another process uses it", "stop that process, or choose another path")
        })?;
        // A socket that nobody claims was left behind by a process that was killed.
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path).map_err(|error| Fault::caused_by(error, what(), next))?;
        }
        let listener = UnixListener::bind(path).map_err(|error| Fault::caused_by(error, what(), next))?;
        Ok(Self { listener, connection: None, path: path.to_owned(), _claim: claim })
    }

    async fn next(&mut self) -> io::Result<PortEvent> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.listener.accept().await?.0),
        };
        let mut octets = vec![0; CHUNK];
        match connection.read(&mut octets).await {
            // A connection that fails is a port that was closed.
            Ok(0) | Err(_) => {
                self.connection = None;
                Ok(PortEvent::Closed)
            }
            Ok(length) => {
                octets.truncate(length);
                Ok(PortEvent::Received(octets))
            }
        }
    }

    async fn write(&mut self, mut octets: &[u8]) {
        let Some(connection) = &mut self.connection else { return };
        while !octets.is_empty() {
            let written = timeout(PATIENCE, connection.write(octets)).await;
            match written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(length) => octets = octets.get(length..).unwrap_or_default(),
                Err(error) => {
                    // If the connection has ended, the next read reports it.
                    tracing::debug!(path = %self.path.display(), %error, "octets for a program are lost");
                    return;
                }
            }
        }
    }
}

impl Drop for SocketPort {
    fn drop(&mut self) {
        // If the socket cannot be removed, the next port at this path replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_use_a_socket_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modem");
        let address = PathBuf::from(format!("unix:{}", path.display()));
        // Left behind by a process that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let mut port = ModemPort::open(Some(&address)).unwrap();
        assert_eq!(port.address(), address.display().to_string());
        port.write(b"nobody is there").await.unwrap();
        let mut first = UnixStream::connect(&path).await.unwrap();
        let mut second = UnixStream::connect(&path).await.unwrap();
        second.write_all(b"ATI\r").await.unwrap();
        first.write_all(b"AT\r").await.unwrap();
        assert_eq!(port.next().await.unwrap(), PortEvent::Received(b"AT\r".to_vec()));
        port.write(b"OK").await.unwrap();
        let mut answer = [0; 2];
        first.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK");
        drop(first);
        assert_eq!(port.next().await.unwrap(), PortEvent::Closed);
        assert_eq!(port.next().await.unwrap(), PortEvent::Received(b"ATI\r".to_vec()));
        let fault = ModemPort::open(Some(&address)).unwrap_err();
        assert!(fault.why.contains("another process"), "{fault}");
        drop(port);
        assert!(!path.exists());
        ModemPort::open(Some(&PathBuf::from("unix:/missing/folder/modem"))).unwrap_err();
        assert!(matches!(ModemPort::open(None).unwrap(), ModemPort::Pty(_)));
    }

    /// The octets are more than the buffer of the socket takes.
    #[tokio::test(start_paused = true)]
    async fn a_program_that_reads_gets_all_octets_and_one_that_does_not_loses_some() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modem");
        let mut port = ModemPort::open(Some(&PathBuf::from(format!("unix:{}", path.display())))).unwrap();
        let mut program = UnixStream::connect(&path).await.unwrap();
        program.write_all(b"AT\r").await.unwrap();
        port.next().await.unwrap();
        let octets: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let mut received = vec![0; octets.len()];
        let (written, read) = tokio::join!(port.write(&octets), program.read_exact(&mut received));
        written.unwrap();
        read.unwrap();
        assert!(received == octets);
        let lost = timeout(10 * PATIENCE, port.write(&octets)).await;
        lost.expect("the modem does not wait for the program").unwrap();
        drop(port);
        received.clear();
        program.read_to_end(&mut received).await.unwrap();
        assert!(received.len() < octets.len() && octets.starts_with(&received));
    }
}
