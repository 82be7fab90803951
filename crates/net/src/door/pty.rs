//! A pseudo-terminal: what a program opens as the serial port of a modem, and the end that the modem is at.

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

/// For how long a modem waits for a program to read; then octets are lost, as on a line without flow control. A program
/// that has gone must not hold up the next one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Octets read at a time.
const CHUNK: usize = 4096;

/// The modem's end of a serial port.
#[derive(Debug)]
pub struct Pty {
    /// The two directions of the modem's end. Not pipes, but tokio drives any file that can be waited for, and these without `unsafe`.
    from_program: pipe::Receiver,
    to_program: pipe::Sender,
    /// Open as long as the modem is there: without it each program that closes the port would look like the end.
    _port: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
    _claim: Option<Claim>,
}

impl Pty {
    /// A new port, raw and without echo; `link` is made to lead to it. To be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no pseudo-terminal left, or something else is where the link should be.
    pub fn open(link: Option<&Path>) -> Result<Self, Fault> {
        let mut pty = Self::new().map_err(|error| {
            let next = "check that /dev/pts is mounted; raise kernel.pty.max or the limit of open files if they are used up";
            Fault::caused_by(error, "cannot make a serial port", next)
        })?;
        if let Some(link) = link {
            let claim = Claim::of(link).map_err(|error| no_link(link, error))?;
            pty._claim = Some(claim.ok_or_else(|| {
                let what = format!("cannot make {} a link to the serial port", link.display());
                Fault::new(what, "another process has one there", "stop that process, or choose another path")
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

    /// What a program opens: the link, or the port itself.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// The next octets that a program has written; one at least.
    ///
    /// # Errors
    /// The port has broken.
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

    /// Hands octets to whoever reads; what nobody reads in time is lost.
    ///
    /// # Errors
    /// The port has broken.
    pub async fn write(&self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let Ok(ready) = timeout(PATIENCE, self.to_program.writable()).await else {
                tracing::debug!(path = %self.path.display(), lost = octets.len(), "nobody reads");
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
            // If it cannot be removed it dangles, and the next port of this name replaces it.
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
    let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut raw = tcgetattr(&port)?;
    raw.make_raw();
    tcsetattr(&port, OptionalActions::Now, &raw)?;
    Ok((modem, port, path))
}

fn make_link(link: &Path, port: &Path) -> Result<(), Fault> {
    let replaced = if was_left_behind(link, port) { fs::remove_file(link) } else { Ok(()) };
    replaced.and_then(|()| std::os::unix::fs::symlink(port, link)).map_err(|error| no_link(link, error))
}

fn no_link(link: &Path, error: io::Error) -> Fault {
    let next = match error.kind() {
        io::ErrorKind::AlreadyExists => "remove what is there, or choose another path",
        _ => "choose a path in a folder that exists and can be written",
    };
    Fault::caused_by(error, format!("cannot make {} a link to the serial port", link.display()), next)
}

/// Whether a modem that was killed has left the link. Nobody claims it, and it leads to where ports are, to one that may be
/// somebody else's by now, or to nothing; a link to anything else is not ours to remove.
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
    async fn octets_cross_unchanged_and_are_not_echoed() {
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
        // One program after the other.
        drop(first);
        let mut second = program(pty.path());
        second.write_all(b"AT\r").unwrap();
        assert_eq!(pty.read().await.unwrap(), b"AT\r");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_read_loses_what_it_is_told() {
        let pty = Pty::open(None).unwrap();
        pty.write(&[b'x'; 1 << 20]).await.unwrap();
        let mut late = program(pty.path());
        assert_eq!(read(&mut late, 1000), [b'x'; 1000]);
    }

    #[tokio::test]
    async fn a_link_leads_to_the_port_as_long_as_it_is_there() {
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
        fs::write(&link, "a file of somebody's").unwrap();
        Pty::open(Some(&link)).unwrap_err();
        assert_eq!(fs::read_to_string(&link).unwrap(), "a file of somebody's");
        let fault = Pty::open(Some(&link.join("below a file"))).unwrap_err();
        assert!(fault.next.contains("folder"), "{fault}");
        Pty::open(Some(&folder.path().join("missing/modem"))).unwrap_err();
        assert!(!folder.path().join("missing").exists());
    }
}
