//! Session parameters: GlobalPlatform Amendment B section 3.8, SGP.02 section 2.4.4.
//!
//! Each parameter is taken from the first source that has it: the trigger, the parameters stored in
//! the ISD-R, and for bearer parameters the connectivity parameters of the enabled profile.

use profile::SecretOctets;
use rsp::der::{DecodeError, Tag, tlv, tlv_bytes};
use rsp::ota::cat::{Bearer, ChannelParameters};
use rsp::ota::octets::Octets;
use rsp::ota::trigger::{SessionParameters, SessionTrigger};
use rsp::sgp02::keys::{KeySetUse, KeyVersion, PskIdentity};

use crate::m2m::context::M2mContext;

/// The complete parameters of a session.
pub(super) struct Parameters {
    pub(super) channel: ChannelParameters,
    /// The PSK identity sent in TLS.
    pub(super) psk_identity: Vec<u8>,
    pub(super) psk: SecretOctets,
    /// Version of the PSK.
    pub(super) key_version: u8,
    pub(super) retries: u16,
    pub(super) retry_seconds: u64,
    pub(super) host: String,
    pub(super) agent_id: Option<String>,
    pub(super) uri: String,
}

/// Checks that the octets are session triggering parameters.
pub(super) fn check(trigger: &[u8]) -> Result<(), DecodeError> {
    SessionTrigger::parse(trigger).map(drop)
}

impl Parameters {
    /// Merges the parameters for a trigger, which may be empty. Returns `None` if a parameter is
    /// missing or invalid.
    pub(super) fn find(context: &M2mContext<'_>, trigger: &[u8]) -> Option<Self> {
        let triggered = match trigger {
            [] => SessionParameters::default(),
            octets => SessionTrigger::parse(octets).ok()?.session.unwrap_or_default(),
        };
        let stored = match &context.state.addressing.https {
            Some(contents) => stored_parameters(contents)?,
            None => SessionParameters::default(),
        };
        let channel = channel(context, [&triggered, &stored]);
        // The address is mandatory: this card does not resolve names.
        channel.destination.and(channel.transport)?;
        let SessionParameters { security, retry, http, .. } = triggered.or(&stored);
        let (key_version, key_id) = match &security {
            Some(security) => (security.key_version, security.key_identifier),
            None => (context.state.key_sets.iter().find(|set| is_for_tls(set.version))?.version, FIRST_KEY),
        };
        let set = context.state.key_set(key_version).filter(|set| is_for_tls(set.version))?;
        let named = security.map(|security| security.psk_identity).filter(|identity| !identity.is_empty());
        let own = PskIdentity {
            eid: context.description.eid,
            key_version: KeyVersion(key_version),
            key_identifier: key_id,
        };
        let settings = context.toolkit_settings();
        let http = http.unwrap_or_default();
        let parameters = Self {
            psk_identity: named.unwrap_or_else(|| own.to_string().into_bytes()),
            psk: set.psk(key_id)?.clone(),
            key_version,
            retries: retry.as_ref().map_or(settings.session_retries, |retry| retry.attempts),
            retry_seconds: retry
                .map_or(settings.session_retry_seconds, |retry| retry.delay.as_time().as_secs()),
            host: http.host.or_else(|| Some(channel.destination?.to_string()))?,
            agent_id: http.agent_id,
            uri: http.uri.unwrap_or_else(|| "/".to_owned()),
            channel,
        };
        is_request_target(&parameters.uri).then_some(parameters)
    }
}

const TRIGGER: Tag = Tag(0x81);
const SESSION: Tag = Tag(0x83);
const RESOLUTION: Tag = Tag(0xB3);

/// Parses stored parameters: either the contents of tag 81, as in a trigger, or only the contents
/// of the tag 83 that is inside tag 81.
fn stored_parameters(contents: &[u8]) -> Option<SessionParameters> {
    let parameters = match tlv::split(tlv::each(contents).ok()?.first()?)? {
        (SESSION, _) => SessionTrigger::parse(&tlv_bytes(TRIGGER, contents)).ok()?.session?,
        _ => SessionParameters::parse(contents).ok()?,
    };
    let uri = parameters.http.as_ref().and_then(|http| http.uri.as_deref());
    uri.is_none_or(is_request_target).then_some(parameters)
}

/// True if the card can store these session parameters.
pub(in super::super) fn is_session(contents: &[u8]) -> bool {
    stored_parameters(contents).is_some()
}

/// True if the octets are valid DNS parameters: the contents of B3.
pub(in super::super) fn is_resolution(contents: &[u8]) -> bool {
    let trigger = tlv_bytes(TRIGGER, &tlv_bytes(RESOLUTION, contents));
    SessionTrigger::parse(&trigger).is_ok_and(|trigger| trigger.dns.is_some())
}

/// Identifier of the PSK in a key set of SGP.02.
const FIRST_KEY: u8 = 1;

fn is_for_tls(version: u8) -> bool {
    KeyVersion(version).usage() == Some(KeySetUse::Scp81)
}

/// Merges the channel parameters. Each element is taken from the first of `sources` that has it, or
/// from the enabled profile if none has it.
fn channel(context: &M2mContext<'_>, sources: [&SessionParameters; 2]) -> ChannelParameters {
    let of_profile = connectivity(context).unwrap_or_default();
    let mut all = sources.into_iter().filter_map(|each| each.connection.clone()).chain([of_profile]);
    let first = all.next().unwrap_or_default();
    let mut found = all.fold(first, |found, next| ChannelParameters {
        bearer: found.bearer.or(next.bearer),
        buffer_size: found.buffer_size.or(next.buffer_size),
        access_point: found.access_point.or(next.access_point),
        // Login and password are taken from the same source.
        password: if found.login.is_some() { found.password } else { next.password },
        login: found.login.or(next.login),
        transport: found.transport.or(next.transport),
        destination: found.destination.or(next.destination),
    });
    found.bearer = found.bearer.or_else(|| Some(Bearer::default_bearer()));
    found
}

/// The HTTPS parameters of the enabled profile. Only one source says that A1 is HTTPS and A2 is
/// CAT_TP.
fn connectivity(context: &M2mContext<'_>) -> Option<ChannelParameters> {
    const HTTPS: Tag = Tag(0xA1);
    let parameters = context.connectivity()?;
    let (_, https) = tlv::split(tlv::find(&parameters, HTTPS).ok()??)?;
    ChannelParameters::parse(Octets::new(https)).ok()
}

/// True for text that is permitted in a request line: RFC 9112 section 3.2, origin form. Some
/// servers send absolute URIs, which are accepted too.
pub(super) fn is_request_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| (0x21..0x7F).contains(&octet))
}
