//! Tests against an OpenSSL server over memory buffers.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use openssl::ssl::{
    ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslOptions, SslStream,
    SslVersion,
};

use super::*;

pub(in crate::m2m) const IDENTITY: &str = "8001028110890010120123412340123456789012244F10A000";
pub(in crate::m2m) const PSK: [u8; 16] = [0x40; 16];
const GCM: &str = "PSK-AES128-GCM-SHA256";
const CBC: &str = "PSK-AES128-CBC-SHA256";

/// The buffers between client and server.
#[derive(Debug, Default)]
struct Pipe {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.incoming.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An OpenSSL server.
pub(in crate::m2m) struct Server {
    state: Option<ServerState>,
    received: Vec<u8>,
    pub(in crate::m2m) is_closed: bool,
}

enum ServerState {
    Handshake(MidHandshakeSslStream<Pipe>),
    Connected(SslStream<Pipe>),
    Broken(Vec<u8>),
}

impl Server {
    pub(in crate::m2m) fn new(suites: &str, identity: &str, psk: &[u8]) -> Self {
        let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
        context.set_min_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        context.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        context.set_cipher_list(suites).unwrap();
        context.set_options(SslOptions::NO_TICKET);
        let (identity, psk) = (identity.to_owned(), psk.to_vec());
        context.set_psk_server_callback(move |_, found, out| {
            if found != Some(identity.as_bytes()) {
                return Ok(0);
            }
            out[..psk.len()].copy_from_slice(&psk);
            Ok(psk.len())
        });
        let ssl = Ssl::new(&context.build()).unwrap();
        let state = match ssl.accept(Pipe::default()) {
            Err(HandshakeError::WouldBlock(middle)) => ServerState::Handshake(middle),
            _ => panic!("the server must wait for the ClientHello"),
        };
        Self { state: Some(state), received: Vec::new(), is_closed: false }
    }

    /// Passes octets from the card to the server and returns those for the card.
    pub(in crate::m2m) fn exchange(&mut self, octets: &[u8]) -> Vec<u8> {
        let state = match self.state.take().unwrap() {
            ServerState::Handshake(mut middle) => {
                middle.get_mut().incoming.extend(octets);
                match middle.handshake() {
                    Ok(stream) => ServerState::Connected(stream),
                    Err(HandshakeError::WouldBlock(middle)) => ServerState::Handshake(middle),
                    Err(HandshakeError::Failure(mut failed)) => {
                        ServerState::Broken(std::mem::take(&mut failed.get_mut().outgoing))
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            ServerState::Connected(mut stream) => {
                stream.get_mut().incoming.extend(octets);
                ServerState::Connected(stream)
            }
            broken @ ServerState::Broken(_) => broken,
        };
        self.state = Some(state);
        self.read();
        self.output()
    }

    fn read(&mut self) {
        let Some(ServerState::Connected(stream)) = &mut self.state else { return };
        let mut buffer = [0; 4096];
        loop {
            match stream.ssl_read(&mut buffer) {
                Ok(octets) => self.received.extend_from_slice(&buffer[..octets]),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.is_closed = true;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn output(&mut self) -> Vec<u8> {
        match self.state.as_mut().unwrap() {
            ServerState::Handshake(middle) => std::mem::take(&mut middle.get_mut().outgoing),
            ServerState::Connected(stream) => std::mem::take(&mut stream.get_mut().outgoing),
            ServerState::Broken(octets) => std::mem::take(octets),
        }
    }

    /// Sends data to the card and returns the octets.
    pub(in crate::m2m) fn send(&mut self, octets: &[u8]) -> Vec<u8> {
        let Some(ServerState::Connected(stream)) = &mut self.state else { panic!("not connected") };
        stream.write_all(octets).unwrap();
        self.output()
    }

    pub(in crate::m2m) fn close(&mut self) -> Vec<u8> {
        let Some(ServerState::Connected(stream)) = &mut self.state else { panic!("not connected") };
        stream.shutdown().unwrap();
        self.output()
    }

    /// Takes the data that the card has sent.
    pub(in crate::m2m) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn is_connected(&self) -> bool {
        matches!(self.state, Some(ServerState::Connected(_)))
    }
}

fn client() -> Client {
    let random = std::array::from_fn(|at| u8::try_from(at).unwrap());
    Client::new(IDENTITY.as_bytes(), &PSK, random)
}

/// Exchanges octets until both sides are idle.
fn settle(client: &mut Client, server: &mut Server) -> Result<(), TlsError> {
    loop {
        let octets = client.take_output();
        let answer = server.exchange(&octets);
        if octets.is_empty() && answer.is_empty() {
            return Ok(());
        }
        client.receive(&answer)?;
    }
}

#[test]
fn both_suites_connect_to_openssl() {
    for suite in [GCM, CBC] {
        let (mut client, mut server) = (client(), Server::new(suite, IDENTITY, &PSK));
        settle(&mut client, &mut server).unwrap();
        assert!(client.is_connected() && server.is_connected(), "{suite}");
        for length in [1, 15, 16, 17, 1023, 1024, 1025, 5000] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            client.send(&text);
            settle(&mut client, &mut server).unwrap();
            assert_eq!(server.take_received(), text);
            let answer = server.send(&text);
            // The result does not depend on the segmentation.
            for piece in answer.chunks(7) {
                client.receive(piece).unwrap();
            }
            assert_eq!(client.take_plaintext(), text);
        }
        client.close();
        settle(&mut client, &mut server).unwrap();
        assert!(server.is_closed);
        let end = server.close();
        client.receive(&end).unwrap();
        assert!(client.is_closed());
    }
}

#[test]
fn records_have_the_fragment_length_that_the_card_requested() {
    let (mut client, mut server) = (client(), Server::new(&format!("{GCM}:{CBC}"), IDENTITY, &PSK));
    settle(&mut client, &mut server).unwrap();
    let answer = server.send(&[0x5A; 4000]);
    let mut records = answer.as_slice();
    while let [_, _, _, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(length <= FRAGMENT + 64, "{length}");
        records = &rest[length..];
    }
}

#[test]
fn a_server_with_another_key_is_refused() {
    for suite in [GCM, CBC] {
        let (mut client, mut server) = (client(), Server::new(suite, IDENTITY, &[0x41; 16]));
        let end = settle(&mut client, &mut server);
        assert!(matches!(end, Err(TlsError::PeerAlert(_) | TlsError::Refused(_))), "{end:?}");
        assert!(!client.is_connected() && !server.is_connected());
        let (mut client, mut server) = (self::client(), Server::new(suite, "another identity", &PSK));
        assert!(settle(&mut client, &mut server).is_err());
    }
}

#[test]
fn altered_records_end_the_connection() {
    for suite in [GCM, CBC] {
        let (mut first, mut server) = (client(), Server::new(suite, IDENTITY, &PSK));
        settle(&mut first, &mut server).unwrap();
        let answer = server.send(b"The quick brown fox jumps over the lazy dog");
        for at in 5..answer.len() {
            let mut altered = answer.clone();
            altered[at] ^= 1;
            let mut client = first.clone();
            assert_eq!(client.receive(&altered), Err(TlsError::Refused(Alert::BAD_RECORD_MAC)), "{at}");
            assert!(!client.take_output().is_empty(), "an alert is expected");
            assert!(client.receive(&answer).is_err(), "the connection is over");
        }
        let mut twice = first.clone();
        twice.receive(&answer).unwrap();
        assert!(twice.receive(&answer).is_err(), "the record is replayed");
    }
}

#[test]
fn altered_handshake_octets_are_refused_without_a_panic() {
    let mut server = Server::new(CBC, IDENTITY, &PSK);
    let mut begun = client();
    let hello = server.exchange(&begun.take_output());
    for at in 0..hello.len() {
        for value in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
            let mut altered = hello.clone();
            altered[at] = value;
            let mut client = client();
            client.take_output();
            // Some octets can have any value. In no case may the handshake succeed.
            let _ = client.receive(&altered);
            assert!(!client.is_connected());
        }
    }
    for content_type in 0..=255 {
        let mut client = client();
        assert!(client.receive(&[content_type, 3, 3, 0, 1, 0]).is_err() || content_type == 22);
        assert!(!client.is_connected());
    }
    assert_eq!(client().receive(&[22, 3, 1, 0, 1, 0]), Err(TlsError::Refused(Alert::PROTOCOL_VERSION)));
    assert_eq!(client().receive(&[22, 3, 3, 0xFF, 0xFF]), Err(TlsError::Refused(Alert::RECORD_OVERFLOW)));
    assert_eq!(client().receive(&[21, 3, 3, 0, 2, 2, 40]), Err(TlsError::PeerAlert(Alert(40))));
}

#[test]
fn one_identity_hint_is_ignored_and_a_second_is_refused() {
    const HINT: &[u8] = &[22, 3, 3, 0, 8, 12, 0, 0, 4, 0, 2, b'h', b'i'];
    const BAD_HINT: &[u8] = &[22, 3, 3, 0, 8, 12, 0, 0, 4, 0, 3, b'h', b'i'];
    let mut server = Server::new(CBC, IDENTITY, &PSK);
    let mut begun = client();
    let hello = server.exchange(&begun.take_output());
    let server_hello = 5 + usize::from(hello[4]);
    let (before, after) = hello.split_at(server_hello);
    let mut hinted = begun.clone();
    hinted.receive(&[before, HINT, after].concat()).unwrap();
    // The client has sent ClientKeyExchange, ChangeCipherSpec and Finished.
    assert_eq!(format!("{hinted:?}"), "Client(expects ChangeCipherSpec)");
    let mut twice = begun.clone();
    assert!(twice.receive(&[before, HINT, HINT, after].concat()).is_err());
    assert_eq!(begun.receive(&[before, BAD_HINT].concat()), Err(TlsError::Refused(Alert::DECODE_ERROR)));
}

#[test]
fn a_finished_message_of_another_handshake_is_refused() {
    const HINT: &[u8] = &[22, 3, 3, 0, 8, 12, 0, 0, 4, 0, 2, b'h', b'i'];
    for suite in [GCM, CBC] {
        let mut server = Server::new(suite, IDENTITY, &PSK);
        let mut client = client();
        let hello = server.exchange(&client.take_output());
        let (before, after) = hello.split_at(5 + usize::from(hello[4]));
        let mut misled = client.clone();
        misled.receive(&[before, HINT, after].concat()).unwrap();
        client.receive(&hello).unwrap();
        let finished = server.exchange(&client.take_output());
        assert_eq!(misled.receive(&finished), Err(TlsError::Refused(Alert::DECRYPT_ERROR)));
        client.receive(&finished).unwrap();
        assert!(client.is_connected());
    }
}

#[test]
fn change_cipher_spec_is_one_octet_between_complete_messages() {
    for suite in [GCM, CBC] {
        let mut server = Server::new(suite, IDENTITY, &PSK);
        let mut client = client();
        let hello = server.exchange(&client.take_output());
        client.receive(&hello).unwrap();
        let finished = server.exchange(&client.take_output());
        const CHANGE: [u8; 6] = [20, 3, 3, 0, 1, 1];
        assert!(finished.starts_with(&CHANGE));
        let refused = Err(TlsError::Refused(Alert::UNEXPECTED_MESSAGE));
        // Another value, no octet, two octets, and after the beginning of a handshake message.
        for wrong in [
            &[20, 3, 3, 0, 1, 2][..],
            &[20, 3, 3, 0, 0],
            &[20, 3, 3, 0, 2, 1, 1],
            &[&[22, 3, 3, 0, 1, 20][..], &CHANGE].concat(),
        ] {
            assert_eq!(client.clone().receive(wrong), refused, "{wrong:?}");
        }
        client.receive(&finished).unwrap();
        assert!(client.is_connected());
    }
}

#[test]
fn records_over_the_length_limit_are_refused_before_they_are_complete() {
    let header = |length: u16| [&[22, 3, 3][..], &length.to_be_bytes()].concat();
    assert_eq!(client().receive(&header((1 << 14) + 2048)), Ok(()));
    let refused = Err(TlsError::Refused(Alert::RECORD_OVERFLOW));
    assert_eq!(client().receive(&header((1 << 14) + 2049)), refused);
    // The limit for unprotected records is lower.
    let unprotected = |length: u16| [header(length), vec![0; usize::from(length)]].concat();
    assert_eq!(client().receive(&unprotected((1 << 14) + 1)), refused);
    assert_ne!(client().receive(&unprotected(1 << 14)), refused, "no handshake message, but no overflow");
}

#[test]
fn handshake_messages_over_the_length_limit_are_refused_before_they_are_complete() {
    let begun = |length: usize| {
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        client().receive(&[22, 3, 3, 0, 4, message::SERVER_HELLO, 0, high, low])
    };
    assert_eq!(begun(MAX_HANDSHAKE), Ok(()));
    assert_eq!(begun(MAX_HANDSHAKE + 1), Err(TlsError::Refused(Alert::DECODE_ERROR)));
}

/// The P_SHA256 test vector from the mailing list of the TLS working group.
#[test]
fn the_prf_matches_the_vector_of_the_working_group() {
    let secret = hex::decode("9bbe436ba940f017b17652849a71db35").unwrap();
    let seed = hex::decode("a0ba9f936cda311827a6f796ffd5198c").unwrap();
    let mut out = [0; 100];
    derive(&secret, b"test label", &[&seed], &mut out);
    let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66";
    assert_eq!(hex::encode(out), expected);
}
