//! The short message that makes a card open an administration session: GlobalPlatform Amendment B
//! section 3.7 and table 3-3, with DNS as added by SGP.02.
//!
//! A card stores the same parameters, without the outer TLV, for sessions that it opens itself.

use serde::{Deserialize, Serialize};

use super::cat::{ChannelParameters, TimerValue};
use super::octets::{Octets, hex_text};
use crate::der::{DecodeError, Elements, Problem, Reader, Tag, write_tlv};
use crate::finding::{FindingKind, report};

const TRIGGER: Tag = Tag(0x81);
const SESSION: Tag = Tag(0x83);
const CONNECTION: Tag = Tag(0x84);
const SECURITY: Tag = Tag(0x85);
const RETRY: Tag = Tag(0x86);
const HTTP: Tag = Tag(0x89);
const HOST: Tag = Tag(0x8A);
const AGENT_ID: Tag = Tag(0x8B);
const URI: Tag = Tag(0x8C);
/// The following three tags come from one source (pySim, which cites table 3-3 and section 3.11).
const DNS: Tag = Tag(0xB3);
const DNS_NAME: Tag = Tag(0xD6);
const DNS_SERVER: Tag = Tag(0xFA);

/// The header of the COMPREHENSION-TLV "timer value" in the retry policy.
const RETRY_DELAY: [u8; 2] = [0xA5, 0x03];

/// Administration session triggering parameters. If all are absent (`81 00`), the card uses its
/// stored parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionTrigger {
    /// The parameters for this session.
    pub session: Option<SessionParameters>,
    /// The resolution of the host name.
    pub dns: Option<DnsResolution>,
}

/// Administration session parameters. The card uses its stored value for an absent parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionParameters {
    /// The channel parameters.
    pub connection: Option<ChannelParameters>,
    /// The TLS key.
    pub security: Option<SecurityParameters>,
    /// The retry policy for a failed session.
    pub retry: Option<RetryPolicy>,
    /// The parameters of the first request.
    pub http: Option<HttpParameters>,
}

/// The PSK identity and the key for TLS: section 3.8.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecurityParameters {
    /// PSK identity.
    #[serde(with = "hex_text")]
    pub psk_identity: Vec<u8>,
    /// Key version number.
    pub key_version: u8,
    /// Key identifier.
    pub key_identifier: u8,
}

/// The retry policy for a failed session: section 3.8.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The number of further attempts.
    pub attempts: u16,
    /// The delay between attempts.
    pub delay: TimerValue,
    /// The message to send unchanged after all attempts have failed.
    #[serde(with = "hex_text")]
    pub failure_report: Vec<u8>,
}

/// The parameters of the first request: sections 3.8.4 to 3.8.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpParameters {
    /// The value of the header Host.
    pub host: Option<String>,
    /// The value of the header X-Admin-From.
    pub agent_id: Option<String>,
    /// Path and query.
    pub uri: Option<String>,
}

/// DNS resolution.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DnsResolution {
    /// The host name.
    pub name: String,
    /// The channel parameters of the DNS servers.
    pub servers: Vec<ChannelParameters>,
}

impl SessionTrigger {
    /// Encodes the trigger: the secured data of a command packet to the ISD-R.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        if let Some(session) = &self.session {
            write_tlv(SESSION, &session.to_bytes(), &mut contents);
        }
        if let Some(dns) = &self.dns {
            write_tlv(DNS, &dns.to_bytes(), &mut contents);
        }
        let mut out = Vec::new();
        write_tlv(TRIGGER, &contents, &mut out);
        out
    }

    /// True if the octets start with the tag of a trigger and not with that of a command script.
    pub fn is_one(octets: &[u8]) -> bool {
        octets.first().is_some_and(|first| u32::from(*first) == TRIGGER.0)
    }

    /// Decodes a trigger.
    ///
    /// # Errors
    /// The octets are not a trigger, or an element occurs twice.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut elements = Elements::within("SessionTrigger", TRIGGER, octets)?;
        let trigger = Self {
            session: elements.optional(SESSION, SessionParameters::read)?,
            dns: elements.optional(DNS, DnsResolution::read)?,
        };
        elements.finish();
        Ok(trigger)
    }
}

impl SessionParameters {
    /// Encodes the contents of tag 83.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(connection) = &self.connection {
            let mut objects = Vec::new();
            connection.write(&mut objects);
            write_tlv(CONNECTION, &objects, &mut out);
        }
        if let Some(security) = &self.security {
            let length = u8::try_from(security.psk_identity.len()).unwrap_or(u8::MAX);
            let key = [2, security.key_version, security.key_identifier];
            write_tlv(SECURITY, &[&[length], security.psk_identity.as_slice(), &key].concat(), &mut out);
        }
        if let Some(retry) = &self.retry {
            let [high, low] = retry.attempts.to_be_bytes();
            let policy = [&[high, low], &RETRY_DELAY[..], &retry.delay.to_bytes(), &retry.failure_report];
            write_tlv(RETRY, &policy.concat(), &mut out);
        }
        if let Some(http) = &self.http {
            let mut contents = Vec::new();
            for (tag, text) in [(HOST, &http.host), (AGENT_ID, &http.agent_id), (URI, &http.uri)] {
                if let Some(text) = text {
                    write_tlv(tag, text.as_bytes(), &mut contents);
                }
            }
            write_tlv(HTTP, &contents, &mut out);
        }
        out
    }

    /// Decodes the contents of tag 83.
    ///
    /// # Errors
    /// The contents are malformed.
    pub fn parse(contents: &[u8]) -> Result<Self, DecodeError> {
        Self::read(Reader::new(contents))
    }

    fn read(reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut elements = Elements::of("SessionParameters", reader)?;
        let parameters = Self {
            connection: elements.optional(CONNECTION, |it| ChannelParameters::parse(it.into()))?,
            security: elements.optional(SECURITY, |it| SecurityParameters::read(it.into()))?,
            retry: elements.optional(RETRY, |it| RetryPolicy::read(it.into()))?,
            http: elements.optional(HTTP, HttpParameters::read)?,
        };
        elements.finish();
        Ok(parameters)
    }

    /// Returns these parameters with absent ones taken from `stored`.
    #[must_use]
    pub fn or(self, stored: &Self) -> Self {
        let http = match (self.http, &stored.http) {
            (Some(given), Some(stored)) => Some(HttpParameters {
                host: given.host.or_else(|| stored.host.clone()),
                agent_id: given.agent_id.or_else(|| stored.agent_id.clone()),
                uri: given.uri.or_else(|| stored.uri.clone()),
            }),
            (given, stored) => given.or_else(|| stored.clone()),
        };
        Self {
            connection: self.connection.or_else(|| stored.connection.clone()),
            security: self.security.or_else(|| stored.security.clone()),
            retry: self.retry.or_else(|| stored.retry.clone()),
            http,
        }
    }
}

impl SecurityParameters {
    fn read(mut reader: Octets<'_>) -> Result<Self, DecodeError> {
        let psk_identity = reader.field()?.rest().to_vec();
        let mut key = reader.field()?;
        let [key_version, key_identifier] = key.array()?;
        // A third octet may indicate the hash of an extended identity. Only one such hash is
        // defined.
        let more = key.take_rest().len().saturating_sub(1).saturating_add(reader.take_rest().len());
        if more > 0 {
            report(FindingKind::LongValue, || format!("SecurityParameters: {more} octets after the key"));
        }
        Ok(Self { psk_identity, key_version, key_identifier })
    }
}

impl RetryPolicy {
    fn read(mut reader: Octets<'_>) -> Result<Self, DecodeError> {
        let attempts = reader.number16()?;
        let bad = reader.bad("the retry waiting delay must be A5 03 followed by hours, minutes and seconds");
        if reader.array()? != RETRY_DELAY {
            return Err(bad);
        }
        let octets: [u8; 3] = reader.array()?;
        // TS 102 223 section 8.38 uses swapped digits. One server sends plain numbers (`00 00 1E`
        // for half a minute); they are accepted if they cannot be swapped digits.
        let delay = TimerValue::of(octets).or_else(|| plain(octets)).ok_or(bad)?;
        Ok(Self { attempts, delay, failure_report: reader.take_rest().to_vec() })
    }
}

fn plain([hours, minutes, seconds]: [u8; 3]) -> Option<TimerValue> {
    let seconds_of_day = u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds);
    (hours < 24 && minutes < 60 && seconds < 60).then(|| TimerValue::of_seconds(seconds_of_day))
}

impl HttpParameters {
    fn read(reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut elements = Elements::of("HttpParameters", reader)?;
        // These texts become parts of an HTTP request, so they must not contain control characters
        // or spaces.
        let visible = |it: Reader<'_>| match std::str::from_utf8(it.rest()) {
            Ok(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(text.to_owned()),
            _ => Err(it.error(Problem::BadValue("the text does not consist of visible ASCII characters"))),
        };
        let parameters = Self {
            host: elements.optional(HOST, visible)?,
            agent_id: elements.optional(AGENT_ID, visible)?,
            uri: elements.optional(URI, visible)?,
        };
        elements.finish();
        Ok(parameters)
    }
}

impl DnsResolution {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_tlv(DNS_NAME, self.name.as_bytes(), &mut out);
        for server in &self.servers {
            let mut objects = Vec::new();
            server.write(&mut objects);
            write_tlv(DNS_SERVER, &objects, &mut out);
        }
        out
    }

    fn read(reader: Reader<'_>) -> Result<Self, DecodeError> {
        let missing = reader.error(Problem::Missing { expected: DNS_NAME });
        let mut elements = Elements::of("DnsResolution", reader)?;
        let host_name = |it: Reader<'_>| {
            let bad = |_| it.error(Problem::BadValue("the host name is not UTF-8"));
            std::str::from_utf8(it.rest()).map(str::to_owned).map_err(bad)
        };
        let name = elements.optional(DNS_NAME, host_name)?.ok_or(missing)?;
        let servers = elements.all(DNS_SERVER).map(|it| ChannelParameters::parse(it.into()));
        let servers = servers.collect::<Result<_, _>>()?;
        elements.finish();
        Ok(Self { name, servers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ota::cat::{Bearer, TransportLevel, TransportProtocol};

    fn unhex(digits: &str) -> Vec<u8> {
        hex::decode(digits.replace(' ', "")).unwrap()
    }

    fn whole() -> SessionTrigger {
        SessionTrigger {
            session: Some(SessionParameters {
                connection: Some(ChannelParameters {
                    bearer: Some(Bearer::default_bearer()),
                    buffer_size: Some(1400),
                    transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 443 }),
                    destination: Some([192, 0, 2, 1].into()),
                    ..ChannelParameters::default()
                }),
                security: Some(SecurityParameters {
                    psk_identity: unhex("DEADBEEF"),
                    key_version: 0x40,
                    key_identifier: 1,
                }),
                retry: Some(RetryPolicy {
                    attempts: 3,
                    delay: TimerValue::of_seconds(30),
                    failure_report: Vec::new(),
                }),
                http: Some(HttpParameters {
                    host: Some("admin.host".to_owned()),
                    agent_id: Some("//se-id/eid/89".to_owned()),
                    uri: Some("/gsma/adminagent".to_owned()),
                }),
            }),
            dns: None,
        }
    }

    #[test]
    fn a_trigger_is_encoded_and_decoded() {
        let trigger = whole();
        assert_eq!(SessionTrigger::parse(&trigger.to_bytes()), Ok(trigger.clone()));
        let written = hex::encode_upper(trigger.to_bytes());
        for part in [
            "8508 04DEADBEEF 02 40 01",
            "8607 0003 A503000003",
            "8A0A61646D696E2E686F7374",
            "B50103 B9020578 BC030201BB BE0521C0000201",
        ] {
            assert!(written.contains(&part.replace(' ', "")), "{part}: {written}");
        }
        assert!(SessionTrigger::is_one(&trigger.to_bytes()));
        assert!(!SessionTrigger::is_one(&[0xAA, 0]));
    }

    #[test]
    fn absent_parameters_are_taken_from_the_card() {
        assert_eq!(SessionTrigger::parse(&[0x81, 0]), Ok(SessionTrigger::default()));
        assert_eq!(SessionTrigger::default().to_bytes(), [0x81, 0]);
        let stored = whole().session.unwrap();
        assert_eq!(SessionParameters::default().or(&stored), stored);
        let given = SessionParameters {
            http: Some(HttpParameters { uri: Some("/other".to_owned()), ..HttpParameters::default() }),
            ..SessionParameters::default()
        };
        let both = given.or(&stored).http.unwrap();
        assert_eq!((both.host.as_deref(), both.uri.as_deref()), (Some("admin.host"), Some("/other")));
    }

    /// The start of a trigger recorded from a server, with another host name.
    #[test]
    fn a_retry_delay_in_plain_numbers_is_accepted() {
        let trigger =
            SessionTrigger::parse(&unhex("811A 8318 8607 0000A50300001E 890D 8A0B6D326D2E6578616D706C65"))
                .unwrap();
        let session = trigger.session.unwrap();
        assert_eq!(session.retry.unwrap().delay, TimerValue::of_seconds(30));
        assert_eq!(session.http.unwrap().host.as_deref(), Some("m2m.example"));
    }

    /// The objects of pySim's pySim/global_platform/http.py, with key version 0 and identifier 40.
    #[test]
    fn objects_of_pysim_decode() {
        let found = SessionParameters::parse(&unhex("850804deadbeef020040")).unwrap().security.unwrap();
        assert_eq!((found.key_version, found.key_identifier), (0, 0x40));
        let http = SessionParameters::parse(&unhex("89188c1668747470733a2f2f61646d696e2e686f73742f757269"));
        assert_eq!(http.unwrap().http.unwrap().uri.as_deref(), Some("https://admin.host/uri"));
    }

    #[test]
    fn dns_parameters_are_encoded_and_decoded() {
        let server = ChannelParameters { buffer_size: Some(512), ..ChannelParameters::default() };
        let dns = DnsResolution { name: "m2m.example".to_owned(), servers: vec![server.clone(), server] };
        let trigger = SessionTrigger { session: None, dns: Some(dns) };
        assert_eq!(SessionTrigger::parse(&trigger.to_bytes()), Ok(trigger));
    }

    #[test]
    fn parameters_are_accepted_in_any_order_but_not_twice() {
        let security = "8508 04DEADBEEF 02 40 01";
        let http = "8908 8C022F75 8A02 682E";
        let read = |text: &str| SessionParameters::parse(&unhex(text));
        let found = read(&format!("{http} 9900 {security}")).unwrap();
        assert_eq!(found, read(&format!("{security} {http}")).unwrap());
        assert_eq!(found.security.unwrap().key_version, 0x40);
        let http_found = found.http.unwrap();
        assert_eq!((http_found.host.as_deref(), http_found.uri.as_deref()), (Some("h."), Some("/u")));
        assert!(read(&format!("{security} {http} {security}")).is_err());
        assert!(read("8908 8A02682E 8A02682E").is_err());
        let mut twice = Vec::new();
        let (session, dns) = (unhex("8300"), unhex("B306 D604612E6263"));
        assert!(SessionTrigger::parse(&unhex("810A B306D604612E6263 8300")).is_ok());
        write_tlv(TRIGGER, &[session.clone(), dns, session].concat(), &mut twice);
        assert!(SessionTrigger::parse(&twice).is_err());
    }

    #[test]
    fn malformed_triggers_are_refused() {
        let octets = whole().to_bytes();
        for cut in 0..octets.len() {
            assert!(SessionTrigger::parse(&octets[..cut]).is_err(), "{cut}");
        }
        for octets in [
            "8302 8400",
            "8108 8306 8504 04DEADBE",
            "810B 8309 8607 0003 A503 60003C",
            "810A 8308 8906 8A04 41 0D 0A 42",
            "8106 8304 8602 0000",
        ] {
            assert!(SessionTrigger::parse(&unhex(octets)).is_err(), "{octets}");
        }
    }
}
