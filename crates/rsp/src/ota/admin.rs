//! Remote administration over HTTP: GlobalPlatform Amendment B section 3, as profiled by SGP.02
//! section 2.4.4.
//!
//! The card is the client. It has no HTTP library, so the card's side encodes octets
//! ([`Post::to_bytes`]) and decodes octets ([`ReplyReader`]). The server's side uses the types of
//! `http`.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::der::{DecodeError, Problem};
use crate::finding::{FindingKind, report};
use crate::ids::{Aid, Eid, InvalidId};

/// The value of X-Admin-Protocol.
pub const PROTOCOL: &str = "globalplatform-remote-admin/1.0";
/// The Content-Type of a command script.
pub const COMMANDS: &str = "application/vnd.globalplatform.card-content-mgt;version=1.0";
/// The Content-Type of a response script.
pub const RESPONSES: &str = "application/vnd.globalplatform.card-content-mgt-response;version=1.0";

/// The header X-Admin-Protocol; its value is [`PROTOCOL`].
pub const X_PROTOCOL: &str = "x-admin-protocol";
/// The header X-Admin-From; its value is an [`AgentId`].
pub const X_FROM: &str = "x-admin-from";
/// The header X-Admin-Resume; its value is `true`.
pub const X_RESUME: &str = "x-admin-resume";
/// The header X-Admin-Script-Status; its value is a [`ScriptStatus`].
pub const X_SCRIPT_STATUS: &str = "x-admin-script-status";
/// The header X-Admin-Next-URI.
pub const X_NEXT_URI: &str = "x-admin-next-uri";
/// The header X-Admin-Targeted-Application; see [`application_path`] for its value.
pub const X_TARGETED_APPLICATION: &str = "x-admin-targeted-application";

/// The requesting administration agent: X-Admin-From in the format of SGP.02.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AgentId {
    /// The card.
    pub eid: Eid,
}

/// The ISD-R in the format of X-Admin-From and X-Admin-Targeted-Application.
const AGENT_OF_EID: &str = "//se-id/eid/";
const AGENT_IS_ISD_R: &str = ";//aa-id/aid/A000000559/1010FFFFFFFF8900000100";

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{AGENT_OF_EID}{}{AGENT_IS_ISD_R}", self.eid)
    }
}

impl FromStr for AgentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad =
            || InvalidId::new(text, "an administration agent such as //se-id/eid/8904...;//aa-id/aid/...");
        let (eid, rest) =
            text.strip_prefix(AGENT_OF_EID).and_then(|rest| rest.split_once(';')).ok_or_else(bad)?;
        let (agent, further) = rest.split_once(';').map_or((rest, None), |(agent, more)| (agent, Some(more)));
        let is_isd_r =
            AGENT_IS_ISD_R.strip_prefix(';').is_some_and(|isd_r| agent.eq_ignore_ascii_case(isd_r));
        if !is_isd_r {
            return Err(bad());
        }
        if let Some(further) = further {
            report(FindingKind::AdminHeader, || format!("X-Admin-From: further part {further}"));
        }
        Eid::from_peer_text(eid).map(|eid| Self { eid }).map_err(|_| bad())
    }
}

/// Formats an application for X-Admin-Targeted-Application: `//aid/<RID>/<PIX>`.
pub fn application_path(aid: &Aid) -> String {
    let (rid, pix) = aid.0.split_at_checked(5).unwrap_or((&aid.0, &[]));
    format!("//aid/{}/{}", hex::encode_upper(rid), hex::encode_upper(pix))
}

/// Parses the application in X-Admin-Targeted-Application.
///
/// # Errors
/// The text does not have the format `//aid/<RID>/<PIX>`.
pub fn application_of_path(path: &str) -> Result<Aid, InvalidId> {
    let bad = || InvalidId::new(path, "an application such as //aid/A000000559/1010FFFFFFFF8900000100");
    let (rid, pix) = path.strip_prefix("//aid/").and_then(|rest| rest.split_once('/')).ok_or_else(bad)?;
    if rid.len() != 10 {
        return Err(bad());
    }
    format!("{rid}{pix}").parse().map_err(|_| bad())
}

/// X-Admin-Script-Status: the result of the previous script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScriptStatus {
    /// The script was processed; the body has the results.
    Ok,
    /// The application does not exist.
    UnknownApplication,
    /// The application is not a security domain.
    NotASecurityDomain,
    /// The security is insufficient.
    SecurityError,
    /// A status that is not defined. The script was not processed.
    Unknown,
}

impl ScriptStatus {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Ok, "ok"),
        (Self::UnknownApplication, "unknown-application"),
        (Self::NotASecurityDomain, "not-a-security-domain"),
        (Self::SecurityError, "security-error"),
    ];
}

impl fmt::Display for ScriptStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL.iter().find(|(status, _)| status == self).map_or("unknown", |(_, text)| text);
        f.write_str(text)
    }
}

impl ScriptStatus {
    /// Returns the status with this name. Other capital letters and a name that is not defined are
    /// findings.
    fn of(text: &str) -> Self {
        let Some((status, name)) = Self::ALL.into_iter().find(|(_, each)| each.eq_ignore_ascii_case(text))
        else {
            report(FindingKind::UnknownValue, || format!("X-Admin-Script-Status: {text}"));
            return Self::Unknown;
        };
        if name != text {
            report(FindingKind::AdminHeader, || format!("X-Admin-Script-Status: {text}"));
        }
        status
    }
}

/// A request from the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Path and query.
    pub uri: String,
    /// Host.
    pub host: String,
    /// X-Admin-From.
    pub agent: String,
    /// X-Admin-Resume: the request repeats a result that was not acknowledged in an earlier
    /// session.
    pub resume: bool,
    /// The status of the previous script and its response script; absent in the first request.
    pub result: Option<(ScriptStatus, Vec<u8>)>,
}

impl Post {
    /// Encodes the request with the body in one chunk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nX-Admin-Protocol: {PROTOCOL}\r\nX-Admin-From: {}\r\n",
            self.uri, self.host, self.agent
        );
        if self.resume {
            head.push_str("X-Admin-Resume: true\r\n");
        }
        let Some((status, body)) = &self.result else {
            // A request without a body states its length, because some servers wait for a body
            // otherwise.
            return format!("{head}Content-Length: 0\r\n\r\n").into_bytes();
        };
        head.push_str(&format!(
            "Content-Type: {RESPONSES}\r\nX-Admin-Script-Status: {status}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        [head.as_bytes(), &chunked(body)].concat()
    }

    /// Decodes a request received by a server.
    ///
    /// # Errors
    /// The request is not a remote administration request. The path of the error names the header.
    pub fn of_http(request: &http::Request<Bytes>) -> Result<Self, DecodeError> {
        let headers = request.headers();
        if request.method() != http::Method::POST {
            return Err(bad("the method is not POST").within("method"));
        }
        check_protocol(headers)?;
        let agent =
            header(headers, X_FROM)?.ok_or_else(|| bad("the header is missing").within("X-Admin-From"))?;
        let status = header(headers, X_SCRIPT_STATUS)?.map(ScriptStatus::of);
        if status.is_some() && !request.body().is_empty() {
            check_content_type(headers, RESPONSES)?;
        }
        if status.is_none() && !request.body().is_empty() {
            return Err(bad("a request with a body requires a script status").within("X-Admin-Script-Status"));
        }
        report_unknown(headers);
        Ok(Self {
            uri: request.uri().path_and_query().map_or("/", |each| each.as_str()).to_owned(),
            host: header(headers, HOST.as_str())?.unwrap_or_default().to_owned(),
            agent: agent.to_owned(),
            resume: header(headers, X_RESUME)?.is_some_and(|text| text.eq_ignore_ascii_case("true")),
            result: status.map(|status| (status, request.body().to_vec())),
        })
    }
}

/// A response of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200: a command script.
    Commands {
        /// The targeted application; absent for the ISD-R.
        target: Option<Aid>,
        /// The URI for the response script. If it is absent, no response script is requested and
        /// the session ends.
        next_uri: Option<String>,
        /// The command script.
        script: Vec<u8>,
    },
    /// 204: nothing further; the session ends.
    End,
    /// Another status: a refusal.
    Refused(u16),
}

impl Reply {
    /// Converts to an HTTP response. The HTTP server adds the chunked encoding.
    ///
    /// # Errors
    /// The next URI is not a valid header value.
    pub fn to_http(&self) -> Result<http::Response<Bytes>, http::Error> {
        let response = http::Response::builder().header("X-Admin-Protocol", PROTOCOL);
        match self {
            Self::Commands { target, next_uri, script } => {
                let mut response = response.status(StatusCode::OK).header(CONTENT_TYPE, COMMANDS);
                if let Some(next_uri) = next_uri {
                    response = response.header("X-Admin-Next-URI", next_uri);
                }
                if let Some(target) = target {
                    response = response.header("X-Admin-Targeted-Application", application_path(target));
                }
                response.body(script.clone().into())
            }
            Self::End => response.status(StatusCode::NO_CONTENT).body(Bytes::new()),
            Self::Refused(status) => response.status(*status).body(Bytes::new()),
        }
    }

    fn of(status: u16, headers: &HeaderMap, body: Vec<u8>) -> Result<Self, DecodeError> {
        match status {
            204 => Ok(Self::End),
            200..=299 => {
                if status != 200 {
                    report(FindingKind::HttpStatus, || status.to_string());
                }
                check_protocol(headers)?;
                report_unknown(headers);
                check_content_type(headers, COMMANDS)?;
                let target = header(headers, X_TARGETED_APPLICATION)?
                    .map(|path| {
                        application_of_path(path)
                            .map_err(|_| bad("not an application").within("X-Admin-Targeted-Application"))
                    })
                    .transpose()?;
                let next_uri = header(headers, X_NEXT_URI)?.map(str::to_owned);
                Ok(Self::Commands { target, next_uri, script: body })
            }
            other => Ok(Self::Refused(other)),
        }
    }
}

fn bad(what: &'static str) -> DecodeError {
    DecodeError::new(0, Problem::BadValue(what))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, DecodeError> {
    headers
        .get(name)
        .map(|value| value.to_str().map_err(|_| bad("the header is not ASCII text").within(name)))
        .transpose()
}

/// Reports headers of remote administration that are not defined.
fn report_unknown(headers: &HeaderMap) {
    let known = [X_PROTOCOL, X_FROM, X_RESUME, X_SCRIPT_STATUS, X_NEXT_URI, X_TARGETED_APPLICATION];
    let names = headers.keys().map(http::HeaderName::as_str);
    for name in names.filter(|name| name.starts_with("x-admin-") && !known.contains(name)) {
        report(FindingKind::UnknownElement, || format!("header {name}"));
    }
}

/// Checks the protocol. Another minor version and other capital letters are findings.
fn check_protocol(headers: &HeaderMap) -> Result<(), DecodeError> {
    let found = header(headers, X_PROTOCOL)?.unwrap_or_default();
    let is_protocol = found.to_ascii_lowercase().starts_with(PROTOCOL.trim_end_matches('0'));
    if !is_protocol {
        return Err(bad("the protocol is not globalplatform-remote-admin/1.0").within("X-Admin-Protocol"));
    }
    if found != PROTOCOL {
        report(FindingKind::AdminHeader, || format!("X-Admin-Protocol: {found}"));
    }
    Ok(())
}

/// Checks the content type. Other parameters are a finding, except for spaces, because some peers
/// insert one after the semicolon.
fn check_content_type(headers: &HeaderMap, expected: &str) -> Result<(), DecodeError> {
    let found = header(headers, CONTENT_TYPE.as_str())?.unwrap_or_default();
    let media_type = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type(found) != media_type(expected) {
        // req: GPC-B-3-ContentType
        return Err(bad("the content type is not that of remote administration").within("Content-Type"));
    }
    if !found.replace(' ', "").eq_ignore_ascii_case(expected) {
        report(FindingKind::ContentType, || found.to_owned());
    }
    Ok(())
}

/// Encodes the body as one chunk and the end marker: RFC 9112 section 7.1.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len().saturating_add(16));
    if !body.is_empty() {
        out.extend_from_slice(format!("{:X}\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// The maximum length of a response head that a card accepts.
pub const MAX_HEAD: usize = 2048;
/// The maximum length of a response body that a card accepts. A profile is sent in many scripts.
pub const MAX_BODY: usize = 32 * 1024;

/// An incremental decoder of server responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyReader {
    received: Vec<u8>,
}

/// The length of a body.
enum Length {
    Known(usize),
    Chunked,
}

impl ReplyReader {
    /// Adds received octets. Returns the response when it is complete; octets after it are kept for
    /// the next response.
    ///
    /// # Errors
    /// The octets are not a remote administration response, or it is too long. The connection
    /// cannot be used afterwards.
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<Reply>, DecodeError> {
        self.received.extend_from_slice(octets);
        let Some(head) = find(&self.received, b"\r\n\r\n") else {
            return if self.received.len() > MAX_HEAD {
                Err(bad("the response head is too long"))
            } else {
                Ok(None)
            };
        };
        let (head, rest) = self.received.split_at_checked(head).unwrap_or_default();
        if head.len() > MAX_HEAD {
            return Err(bad("the response head is too long"));
        }
        let body = rest.get(4..).unwrap_or_default();
        let (status, headers) = parse_head(head)?;
        let taken = match length(status, &headers)? {
            Length::Known(length) if length > MAX_BODY => return Err(bad("the response body is too long")),
            Length::Known(length) => body.get(..length).map(|body| (body.to_vec(), length)),
            Length::Chunked => unchunked(body)?,
        };
        let Some((contents, length)) = taken else { return Ok(None) };
        let reply = Reply::of(status, &headers, contents)?;
        let end = head.len().saturating_add(4).saturating_add(length);
        self.received.drain(..end.min(self.received.len()));
        Ok(Some(reply))
    }
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}

fn parse_head(head: &[u8]) -> Result<(u16, HeaderMap), DecodeError> {
    let text = std::str::from_utf8(head).map_err(|_| bad("the response head is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 ")))
        .and_then(|line| line.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad("the response does not start with HTTP/1.1 or HTTP/1.0"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        let name = http::HeaderName::try_from(name).map_err(|_| bad("invalid header name"))?;
        let value = http::HeaderValue::try_from(value.trim()).map_err(|_| bad("invalid header value"))?;
        headers.append(name, value);
    }
    Ok((status, headers))
}

fn length(status: u16, headers: &HeaderMap) -> Result<Length, DecodeError> {
    if status == 204 {
        return Ok(Length::Known(0));
    }
    match (header(headers, TRANSFER_ENCODING.as_str())?, header(headers, CONTENT_LENGTH.as_str())?) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (None, Some(length)) => {
            length.parse().map(Length::Known).map_err(|_| bad("not a length").within("Content-Length"))
        }
        (None, None) => Ok(Length::Known(0)),
        _ => Err(bad("the length of the body is undefined").within("Transfer-Encoding")),
    }
}

/// The maximum length of a chunk size with its extensions, or of a trailer field.
const MAX_LINE: usize = 256;

/// Decodes a chunked body. Returns the contents and the number of octets of the body, or `None`
/// while it is incomplete. Chunk extensions are ignored.
fn unchunked(mut octets: &[u8]) -> Result<Option<(Vec<u8>, usize)>, DecodeError> {
    let all = octets.len();
    let mut contents = Vec::new();
    loop {
        let Some((line, rest)) = line(octets)? else { return Ok(None) };
        let size = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.split(';').next())
            .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
            .filter(|size| *size <= MAX_BODY)
            .ok_or_else(|| bad("the chunk size is invalid or too large"))?;
        if size == 0 {
            let rest = without_trailers(rest)?;
            return Ok(rest.map(|rest| (contents, all.saturating_sub(rest.len()))));
        }
        let Some((chunk, after)) = rest.split_at_checked(size) else { return Ok(None) };
        match after {
            [b'\r', b'\n', next @ ..] => octets = next,
            [_, _, ..] => return Err(bad("a chunk does not end with a line break")),
            _ => return Ok(None),
        }
        contents.extend_from_slice(chunk);
        if contents.len() > MAX_BODY {
            return Err(bad("the response body is too long"));
        }
    }
}

/// Returns the octets after the trailer fields and the empty line that follows them, or `None` while
/// they are incomplete. Trailer fields are ignored: RFC 9112 section 7.1.2.
fn without_trailers(mut octets: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    let mut length = 0_usize;
    while let Some((field, rest)) = line(octets)? {
        if field.is_empty() {
            return Ok(Some(rest));
        }
        length = length.saturating_add(field.len());
        if length > MAX_HEAD {
            return Err(bad("the trailer fields are too long"));
        }
        report(FindingKind::AdminHeader, || format!("trailer field {}", String::from_utf8_lossy(field)));
        octets = rest;
    }
    Ok(None)
}

/// A line without its end, and the octets after it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits off a line. Returns `None` while it is incomplete.
fn line(octets: &[u8]) -> Result<Option<Split<'_>>, DecodeError> {
    let end = find(octets, b"\r\n");
    if end.unwrap_or(octets.len()) > MAX_LINE {
        return Err(bad("a line in a chunked body is too long"));
    }
    let split = end.and_then(|end| octets.split_at_checked(end));
    Ok(split.map(|(line, rest)| (line, rest.get(2..).unwrap_or_default())))
}

#[cfg(test)]
mod tests;
