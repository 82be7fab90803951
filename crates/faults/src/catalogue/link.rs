//! Catalogue of link faults.

use std::time::Duration;

use super::{Entry, FaultId, Parameter, Places};
use crate::acts::{ANSWER_PATIENCE, HUGE, LinkAct};
use crate::value::Value;

const CLIENT: &str = "LPA, SM-DP, SM-SR, eIM";
const SERVER: &str = "SM-DP+, SM-DS, SM-DP, SM-SR";
const ASKS_AGAIN: &str =
    "The client retries and then gives up without damage to the order. The enabled profile stays enabled.";
const BEGINS_AGAIN: &str = "Nothing is done twice: the download restarts with the same order, and the package is bound to the same one-time key. A notification stays on the card until it is acknowledged.";
const NOT_AN_ANSWER: &str = "The answer is not an answer of the function: the client concludes nothing about the order and removes no notification.";
const CHECKED: &str =
    "A message that cannot be decoded, or whose signature or MAC is wrong, is not accepted.";
const GIVES_UP: Parameter = Parameter::time("time after which the sender gives up", ANSWER_PATIENCE);

const fn client(act: LinkAct, name: &'static str) -> Entry {
    Entry::new(FaultId::Link(act), name, Places::Function).peer(CLIENT)
}

const fn server(act: LinkAct, name: &'static str) -> Entry {
    client(act, name).peer(SERVER)
}

const fn status(code: u16, name: &'static str, what: &'static str) -> Entry {
    let entry = client(LinkAct::HttpStatus(code), name).what(what);
    entry.requires(NOT_AN_ANSWER, "SGP.22 6.5.1; RFC 9110 15.5, 15.6")
}

pub(super) static ENTRIES: &[Entry] = &[
    client(LinkAct::LoseRequest, "link/lose-request")
        .what("The request does not arrive, and the sender times out.")
        .requires(ASKS_AGAIN, "SGP.22 3.1.3, 3.5")
        .value(GIVES_UP),
    client(LinkAct::LoseAnswer, "link/lose-answer")
        .what("The request is processed, its answer does not arrive, and the sender times out.")
        .requires(BEGINS_AGAIN, "SGP.22 3.1.3, 3.5, 5.6.2")
        .value(GIVES_UP),
    client(LinkAct::Delay, "link/delay")
        .what("The request arrives late.")
        .requires(
            "No party gives up before the time in the standard or the settings: sessions, orders and timers survive the delay.",
            "SGP.22 3.1.3",
        )
        .value(Parameter::time("delay", Duration::from_secs(10))),
    server(LinkAct::Duplicate, "link/duplicate")
        .what("The request arrives twice; the sender gets the answer to the first.")
        .requires(
            "A repeated request takes effect only once, and does not end the session of the first.",
            "SGP.22 5.6; RFC 9110 9.2.2",
        ),
    server(LinkAct::Reorder, "link/reorder")
        .what("The request is reordered: its sender gives up, and it arrives after the next request on the same link.")
        .requires(
            "A late request to a session that has advanced or ended is refused and changes nothing.",
            "SGP.22 5.6",
        )
        .value(GIVES_UP),
    server(LinkAct::TruncateRequest, "link/truncate-request")
        .what("The end of the request's body is missing.")
        .requires(CHECKED, "SGP.22 6.5; RFC 9110 15.5.1")
        .value(Parameter::octets("number of octets that are left; default: half of them", None)),
    client(LinkAct::TruncateAnswer, "link/truncate-answer")
        .what("The end of the answer's body is missing.")
        .requires(CHECKED, "SGP.22 6.5, 5.7.13")
        .value(Parameter::octets("number of octets that are left; default: half of them", None)),
    server(LinkAct::CorruptRequest, "link/corrupt-request")
        .what("One bit of the request's body is flipped.")
        .requires(CHECKED, "SGP.22 5.6.2, 5.6.3, 6.5")
        .value(Parameter::octets("index of the octet, from 0; default: random", None)),
    client(LinkAct::CorruptAnswer, "link/corrupt-answer")
        .what("One bit of the answer's body is flipped.")
        .requires(CHECKED, "SGP.22 2.6.4, 5.7.5, 5.7.13")
        .value(Parameter::octets("index of the octet, from 0; default: random", None)),
    client(LinkAct::Reset, "link/reset")
        .what("The request is processed, and the connection is closed before the answer.")
        .requires(BEGINS_AGAIN, "SGP.22 3.1.3, 3.5, 5.6.2"),
    status(400, "link/http-400", "Instead of the server, an intermediary answers 400 Bad Request."),
    status(401, "link/http-401", "Instead of the server, an intermediary answers 401 Unauthorized."),
    status(403, "link/http-403", "Instead of the server, an intermediary answers 403 Forbidden."),
    status(404, "link/http-404", "Instead of the server, an intermediary answers 404 Not Found."),
    status(408, "link/http-408", "Instead of the server, an intermediary answers 408 Request Timeout."),
    status(413, "link/http-413", "Instead of the server, an intermediary answers 413 Content Too Large."),
    status(429, "link/http-429", "Instead of the server, an intermediary answers 429 Too Many Requests."),
    status(500, "link/http-500", "Instead of the server, an intermediary answers 500 Internal Server Error."),
    status(502, "link/http-502", "Instead of the server, an intermediary answers 502 Bad Gateway."),
    status(503, "link/http-503", "Instead of the server, an intermediary answers 503 Service Unavailable."),
    status(504, "link/http-504", "Instead of the server, an intermediary answers 504 Gateway Timeout."),
    client(LinkAct::SlowDrip, "link/slow-drip")
        .what("The answer arrives octet by octet. If that takes too long, the client gives up.")
        .requires(
            "The client waits for a slow answer, but only for a limited time.",
            "SGP.22 3.1.3; RFC 9110 17",
        )
        .value(Parameter::time("time per octet", Duration::from_millis(10))),
    client(LinkAct::WrongContentType, "link/wrong-content-type")
        .what("The answer has the content type text/html.")
        .requires(NOT_AN_ANSWER, "SGP.22 6.5.1, 6.6.1"),
    client(LinkAct::EmptyBody, "link/empty-body")
        .what("The request is processed, but the answer has no body.")
        .requires(
            "A function whose answer must have a body counts as failed. HandleNotification, whose answer has no body, counts as done.",
            "SGP.22 5.6.4, 6.5.1",
        ),
    client(LinkAct::HugeBody, "link/huge-body")
        .what("The body of the answer is padded with spaces to an excessive size.")
        .requires("The client refuses an oversized body or processes it; it does not crash.", "RFC 9110 17.5")
        .value(Parameter::octets("size of the padded body in octets", Some(Value::Number(HUGE)))),
    client(LinkAct::Redirect, "link/redirect")
        .what("Instead of the server, an intermediary answers 302 Found with the address of another host.")
        .requires(
            "The redirect is not followed: only the activation code, the notification or the settings name the server.",
            "SGP.22 3.0.1; RFC 9110 15.4",
        ),
];
