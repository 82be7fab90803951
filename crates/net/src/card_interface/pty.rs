//! A pseudo-terminal that a program opens as the serial port of a modem.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::net::unix::pipe;
use tokio::time::timeout;
use world::Fault;

use crate::Claim;

/// Maximum wait for a program that does not read. Then octets are lost, as on a line without flow
/// control, so that a program that has ended does not block the next one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Maximum number of octets per read.
const CHUNK: usize = 4096;

/// The modem's side of a serial port.
#[derive(Debug)]
pub struct Pty {
    /// The two directions of the modem's side. They are not pipes, but the pipe types of tokio
    /// drive any pollable file without `unsafe`.
    from_program: pipe::Receiver,
    to_program: pipe::Sender,
    /// Kept open: without this open port, a program that closes the port would cause an end of
    /// file.
    _port: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
    _claim: Option<Claim>,
}

impl Pty {
    /// Opens a new port in raw mode without echo, and creates `link` as a symbolic link to it. It
    /// must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left, or something else exists at the path of the link.
    pub fn open(link: Option<&Path>) -> Result<Self, Fault> {
        let mut pty = Self::new().map_err(|error| {
            let next = "check that /dev/pts is mounted; if all pseudo-terminals or files are in use, raise kernel.pty.max or the limit of open files";
            Fault::caused_by(error, "cannot create a serial port", next)
        })?;
        if let Some(link) = link {
            let claim = Claim::of(link).map_err(|error| link_fault(link, error))?;
            pty._claim = Some(claim.ok_or_else(|| {
                let what = format!("cannot create {} as a link to the serial port", link.display());
                Fault::usage(
                    what,
                    "another process uses this link",
                    "stop that process, or choose another path",
                )
            })?);
            make_link(link, &pty.path)?;
            pty.link = Some(link.to_owned());
        }
        Ok(pty)
    }

    fn new() -> io::Result<Self> {
        let (modem, port, path) = pair()?;
        let from_program = pipe::Receiver::from_owned_fd_unchecked(modem.try_clone()?)?;
        let to_program = pipe::Sender::from_owned_fd_unchecked(modem)?;
        Ok(Self { from_program, to_program, _port: port, path, link: None, _claim: None })
    }

    /// The path that a program opens: the link, or the port itself.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Returns the next octets from the program, at least one.
    ///
    /// # Errors
    /// The port has failed.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; CHUNK];
        loop {
            self.from_program.readable().await?;
            match self.from_program.try_read(&mut octets) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    octets.truncate(read?);
                    return Ok(octets);
                }
            }
        }
    }

    /// Sends octets to the program. Octets that nobody reads in time are lost.
    ///
    /// # Errors
    /// The port has failed.
    pub async fn write(&self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let Ok(ready) = timeout(PATIENCE, self.to_program.writable()).await else {
                tracing::debug!(path = %self.path.display(), lost = octets.len(), "no program reads");
                return Ok(());
            };
            ready?;
            match self.to_program.try_write(octets) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => octets = octets.get(written?..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && fs::read_link(link).is_ok_and(|target| target == self.path)
        {
            // If the link cannot be removed, the next port of this name replaces it.
            let _ = fs::remove_file(link);
        }
    }
}

fn pair() -> io::Result<(OwnedFd, OwnedFd, PathBuf)> {
    let modem = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&modem)?;
    unlockpt(&modem)?;
    rustix::io::ioctl_fionbio(&modem, true)?;
    let name = ptsname(&modem, Vec::new())?;
    let path = PathBuf::from(String::from_utf8_lossy(name.as_bytes()).into_owned());
    let port = rustix::fs::open(&path, OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut raw = tcgetattr(&port)?;
    raw.make_raw();
    tcsetattr(&port, OptionalActions::Now, &raw)?;
    Ok((modem, port, path))
}

fn make_link(link: &Path, port: &Path) -> Result<(), Fault> {
    let replaced = if was_left_behind(link, port) { fs::remove_file(link) } else { Ok(()) };
    replaced.and_then(|()| std::os::unix::fs::symlink(port, link)).map_err(|error| link_fault(link, error))
}

fn link_fault(link: &Path, error: io::Error) -> Fault {
    let next = match error.kind() {
        io::ErrorKind::AlreadyExists => "remove the existing file, or choose another path",
        _ => "choose a path in an existing, writable folder",
    };
    Fault::caused_by(error, format!("cannot create {} as a link to the serial port", link.display()), next)
}

/// True if the link is the remainder of a modem process that was killed: nobody claims it, and it
/// leads to a pseudo-terminal (perhaps of another process by now) or to nothing. Any other link
/// belongs to the user and is not removed.
fn was_left_behind(link: &Path, port: &Path) -> bool {
    let leads_to_a_port = |target: PathBuf| port.parent().is_some_and(|ports| target.starts_with(ports));
    fs::read_link(link).is_ok_and(|target| leads_to_a_port(target) || !link.exists())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn program(path: &Path) -> fs::File {
        fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    fn read(program: &mut fs::File, octets: usize) -> Vec<u8> {
        let mut read = vec![0; octets];
        program.read_exact(&mut read).unwrap();
        read
    }

    #[tokio::test]
    async fn octets_are_unchanged_and_not_echoed() {
        let pty = Pty::open(None).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let mut first = program(pty.path());
        first.write_all(&all).unwrap();
        let mut got = Vec::new();
        while got.len() < all.len() {
            got.extend(pty.read().await.unwrap());
        }
        assert_eq!(got, all);
        pty.write(&all).await.unwrap();
        assert_eq!(read(&mut first, 256), all);
        // Another program opens the port after the first one.
        drop(first);
        let mut second = program(pty.path());
        second.write_all(b"AT\r").unwrap();
        assert_eq!(pty.read().await.unwrap(), b"AT\r");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_read_loses_octets() {
        let pty = Pty::open(None).unwrap();
        pty.write(&[b'x'; 1 << 20]).await.unwrap();
        let mut late = program(pty.path());
        assert_eq!(read(&mut late, 1000), [b'x'; 1000]);
    }

    /// A child process that has the port would keep it open after its modem.
    #[tokio::test]
    async fn child_processes_do_not_inherit_the_port() {
        use std::os::fd::AsFd;
        let pty = Pty::open(None).unwrap();
        for end in [pty._port.as_fd(), pty.from_program.as_fd(), pty.to_program.as_fd()] {
            assert!(rustix::io::fcntl_getfd(end).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[tokio::test]
    async fn a_link_leads_to_the_port_while_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("modem");
        let pty = Pty::open(Some(&link)).unwrap();
        assert_eq!(pty.path(), link);
        program(&link).write_all(b"AT\r").unwrap();
        assert_eq!(pty.read().await.unwrap(), b"AT\r");
        let fault = Pty::open(Some(&link)).unwrap_err();
        assert!(fault.why.contains("another process"), "{fault}");
        drop(pty);
        assert!(link.symlink_metadata().is_err());

        let elsewhere = folder.path().join("elsewhere");
        let other_port = Pty::open(None).unwrap();
        for left_behind in [elsewhere.as_path(), other_port.path()] {
            std::os::unix::fs::symlink(left_behind, &link).unwrap();
            drop(Pty::open(Some(&link)).unwrap());
        }
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        Pty::open(Some(&link)).unwrap_err();
        assert_eq!(fs::read_link(&link).unwrap(), elsewhere);
        fs::remove_file(&link).unwrap();
        fs::write(&link, "a file of the user").unwrap();
        let fault = Pty::open(Some(&link)).unwrap_err();
        assert!(fault.next.starts_with("remove the existing file"), "{fault}");
        assert_eq!(fs::read_to_string(&link).unwrap(), "a file of the user");
        let fault = Pty::open(Some(&link.join("below a file"))).unwrap_err();
        assert!(fault.next.contains("folder"), "{fault}");
        Pty::open(Some(&folder.path().join("missing/modem"))).unwrap_err();
        assert!(!folder.path().join("missing").exists());
    }
}
