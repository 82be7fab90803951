//! Sockets at the addresses of the settings.

use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};
use world::Fault;

use crate::settings::{ListenAddress, Settings};

/// Listens at an address of the settings. Port 0 is replaced by the port that was chosen. `flag` is
/// the flag that sets the address.
///
/// # Errors
/// The address is not available.
pub async fn listen_at(address: &mut String, flag: &str) -> Result<TcpListener, Fault> {
    let listener = net::listen(address).await.map_err(|fault| set_by(flag, fault))?;
    replace_port(address, local_address(&listener)?);
    Ok(listener)
}

/// A socket of a server with TLS.
pub struct TlsListener {
    /// The socket.
    pub listener: TcpListener,
    /// Its address, with the port that was chosen, and its curve.
    pub listens: ListenAddress,
}

/// Listens at all addresses of a server with TLS, as [`listen_at`] does.
///
/// # Errors
/// An address is not available.
pub async fn listen_with_tls(addresses: &[ListenAddress], flag: &str) -> Result<Vec<TlsListener>, Fault> {
    let mut listeners = Vec::new();
    for listens in addresses {
        let mut listens = listens.clone();
        let listener = listen_at(&mut listens.address, flag).await?;
        listeners.push(TlsListener { listener, listens });
    }
    Ok(listeners)
}

/// Opens a UDP socket at an address of the settings, as [`listen_at`] does.
///
/// # Errors
/// The address is not available.
pub async fn listen_udp_at(address: &mut String, flag: &str) -> Result<UdpSocket, Fault> {
    let socket = net::listen_udp(address).await.map_err(|fault| set_by(flag, fault))?;
    replace_port(address, local_udp_address(&socket)?);
    Ok(socket)
}

/// Listens at the address of the admin API, if the settings have one. `flag` is the flag of this
/// address.
///
/// # Errors
/// The address is not available.
pub async fn listen_for_admin(settings: &mut Settings, flag: &str) -> Result<Option<TcpListener>, Fault> {
    let Some(address) = &mut settings.admin else { return Ok(None) };
    let listener = listen_at(address, flag).await.map_err(|mut fault| {
        fault.next.push_str(&format!("; {flag} none disables the admin API"));
        fault
    })?;
    Ok(Some(listener))
}

/// Returns the local address of a listener.
///
/// # Errors
/// The operating system does not report the address.
pub fn local_address(listener: &TcpListener) -> Result<SocketAddr, Fault> {
    listener.local_addr().map_err(no_local_address)
}

/// Returns the local address of a UDP socket.
pub(super) fn local_udp_address(socket: &UdpSocket) -> Result<SocketAddr, Fault> {
    socket.local_addr().map_err(no_local_address)
}

fn no_local_address(error: std::io::Error) -> Fault {
    Fault::caused_by(error, "cannot determine the local address of the listener", "start the server again")
}

/// Adds the flag of the address to the advice.
fn set_by(flag: &str, mut fault: Fault) -> Fault {
    fault.next.push_str(&format!("; {flag} sets the address"));
    fault
}

/// Replaces port 0 by the port that was chosen.
fn replace_port(address: &mut String, chosen: SocketAddr) {
    if let Some(host) = address.strip_suffix(":0") {
        *address = format!("{host}:{}", chosen.port());
    }
}
