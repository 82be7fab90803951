//! Proxies that count what passes between a device and a server.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// Octets of the headers of IPv4 and TCP, without options.
const TCP_HEADERS: u64 = 40;
/// Octets of the headers of IPv4 and UDP.
const UDP_HEADERS: u64 = 28;
/// Octets of a full TCP segment.
const SEGMENT: u64 = 1360;

/// Octets and packets, from the device and to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) packets_up: u64,
    pub(crate) packets_down: u64,
    pub(crate) round_trips: u64,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
            packets_up: self.packets_up + other.packets_up,
            packets_down: self.packets_down + other.packets_down,
            round_trips: self.round_trips + other.round_trips,
        }
    }
}

impl std::ops::Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            up: self.up - other.up,
            down: self.down - other.down,
            packets_up: self.packets_up - other.packets_up,
            packets_down: self.packets_down - other.packets_down,
            round_trips: self.round_trips - other.round_trips,
        }
    }
}

/// One connection or association: payloads of TCP or UDP.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    count: Count,
    /// True if the last datagram came from the device.
    was_up: bool,
}

/// What has passed through a proxy up to some time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    payload: Count,
    connections: u64,
}

/// A proxy in front of a server.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: String,
    is_udp: bool,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Proxy {
    /// Forwards TCP connections.
    pub(crate) async fn tcp(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let proxy = Self { address, is_udp: false, connections: Arc::default() };
        let (to, counted) = (to.to_owned(), proxy.clone());
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(&to).await.unwrap();
                let number = counted.open();
                let (near, far) = (near.into_split(), far.into_split());
                for (mut from, mut to, is_up) in [(near.0, far.1, true), (far.0, near.1, false)] {
                    let counted = counted.clone();
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 1 << 14];
                        while let Ok(length @ 1..) = from.read(&mut buffer).await {
                            counted.add(number, is_up, length);
                            if to.write_all(&buffer[..length]).await.is_err() {
                                return;
                            }
                        }
                        // The peer may have closed the connection first.
                        let _ = to.shutdown().await;
                    });
                }
            }
        });
        proxy
    }

    /// Forwards the datagrams of any number of clients.
    pub(crate) async fn udp(to: &str) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap().to_string();
        let proxy = Self { address, is_udp: true, connections: Arc::default() };
        let (to, counted): (SocketAddr, _) = (to.parse().unwrap(), proxy.clone());
        tokio::spawn(async move {
            let mut clients: HashMap<SocketAddr, (usize, Arc<UdpSocket>)> = HashMap::new();
            let mut buffer = vec![0; 2048];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let known = clients.get(&client).cloned();
                let (number, far) = match known {
                    Some(known) => known,
                    None => {
                        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        far.connect(to).await.unwrap();
                        let number = counted.open();
                        clients.insert(client, (number, Arc::clone(&far)));
                        let (near, counted, from) = (Arc::clone(&socket), counted.clone(), Arc::clone(&far));
                        tokio::spawn(async move {
                            let mut buffer = vec![0; 2048];
                            while let Ok(length) = from.recv(&mut buffer).await {
                                counted.add(number, false, length);
                                near.send_to(&buffer[..length], client).await.unwrap();
                            }
                        });
                        (number, far)
                    }
                };
                counted.add(number, true, length);
                far.send(&buffer[..length]).await.unwrap();
            }
        });
        proxy
    }

    fn open(&self) -> usize {
        let mut connections = self.connections.lock().unwrap();
        connections.push(Connection::default());
        connections.len() - 1
    }

    fn add(&self, number: usize, is_up: bool, octets: usize) {
        let mut connections = self.connections.lock().unwrap();
        let connection = &mut connections[number];
        let octets = u64::try_from(octets).unwrap();
        match is_up {
            true => {
                connection.count.up += octets;
                connection.count.packets_up += 1;
                connection.count.round_trips += u64::from(!connection.was_up);
            }
            false => {
                connection.count.down += octets;
                connection.count.packets_down += 1;
            }
        }
        connection.was_up = is_up;
    }

    /// Octets of the payloads so far. Their packets and round trips are those of UDP.
    pub(crate) fn payload(&self) -> Count {
        self.connections.lock().unwrap().iter().fold(Count::default(), |sum, one| sum + one.count)
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> u64 {
        u64::try_from(self.connections.lock().unwrap().len()).unwrap()
    }

    /// What has passed so far.
    pub(crate) fn mark(&self) -> Mark {
        Mark { payload: self.payload(), connections: self.connections() }
    }

    /// Octets of the IP packets so far, for this number of HTTP requests over all connections.
    pub(crate) fn on_ip(&self, requests: u64) -> Count {
        self.on_ip_since(Mark::default(), requests)
    }

    /// Octets of the IP packets since a mark, for this number of HTTP requests over all connections.
    /// docs/airtime.md has the rule by which the packets of TCP are counted.
    pub(crate) fn on_ip_since(&self, mark: Mark, requests: u64) -> Count {
        let payload = self.payload() - mark.payload;
        let packets = match self.is_udp {
            true => payload,
            false => tcp_packets(payload, self.connections() - mark.connections, requests),
        };
        let headers = if self.is_udp { UDP_HEADERS } else { TCP_HEADERS };
        Count {
            up: payload.up + packets.packets_up * headers,
            down: payload.down + packets.packets_down * headers,
            ..packets
        }
    }
}

/// The packets and round trips of TCP connections with TLS 1.3.
fn tcp_packets(payload: Count, connections: u64, requests: u64) -> Count {
    let (full_up, full_down) = (payload.up / SEGMENT, payload.down / SEGMENT);
    Count {
        // SYN, ACK, FIN, ACK; and from the server SYN, FIN.
        packets_up: full_up + requests + connections + full_down / 2 + 4 * connections,
        packets_down: full_down + requests + connections + full_up / 2 + 2 * connections,
        round_trips: 2 * connections + requests,
        ..Count::default()
    }
}

#[test]
fn the_packets_of_tcp_follow_the_rule_of_the_page() {
    let payload = Count { up: 3_000, down: 14_000, ..Count::default() };
    let packets = tcp_packets(payload, 1, 6);
    // 2 full segments, 6 requests, the handshake, 5 acknowledgements of 10 full segments, 4 others.
    assert_eq!(packets.packets_up, 2 + 6 + 1 + 5 + 4);
    assert_eq!(packets.packets_down, 10 + 6 + 1 + 1 + 2);
    assert_eq!(packets.round_trips, 8);
}
