//! A card's connection over a loopback socket. Octets written at one end are read at the other
//! before anything else happens.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use testbed::transport;
use world::Fault;

/// Timeout of a transfer on the loopback.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum octets written before they are read; more may not fit into the socket buffers.
const AT_ONCE: usize = 16 * 1024;

/// Both ends of a connection on the loopback.
pub(super) struct CardSocket {
    device: TcpStream,
    server: TcpStream,
}

impl CardSocket {
    pub(super) fn open() -> Result<Self, Fault> {
        Self::connect().map_err(|why| {
            Fault::caused_by(why, "cannot connect a card to its server", "free some ports, and try again")
        })
    }

    fn connect() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let device = TcpStream::connect(listener.local_addr()?)?;
        let own = device.local_addr()?;
        // Another program may have connected first.
        let server = loop {
            let (server, from) = listener.accept()?;
            if from == own {
                break server;
            }
        };
        for end in [&device, &server] {
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_write_timeout(Some(PATIENCE))?;
        }
        Ok(Self { device, server })
    }
}

impl transport::CardConnection for CardSocket {
    fn carry(&self, octets: &[u8], is_to_device: bool) -> io::Result<Vec<u8>> {
        let (mut from, mut to) = match is_to_device {
            true => (&self.server, &self.device),
            false => (&self.device, &self.server),
        };
        let mut arrived = vec![0; octets.len()];
        for (sent, arrived) in octets.chunks(AT_ONCE).zip(arrived.chunks_mut(AT_ONCE)) {
            from.write_all(sent)?;
            to.read_exact(arrived)?;
        }
        Ok(arrived)
    }
}

#[cfg(test)]
mod tests {
    use testbed::transport::CardConnection as _;

    use super::*;

    #[test]
    fn any_number_of_octets_is_transferred() {
        let socket = CardSocket::open().unwrap();
        let long: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for is_to_device in [false, true] {
            assert_eq!(socket.carry(&long, is_to_device).unwrap(), long);
            assert!(socket.carry(&[], is_to_device).unwrap().is_empty());
        }
    }
}
