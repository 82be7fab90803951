//! Faults of links.

use std::time::Duration;

use super::{Entry, FaultId, Parameter, Places};
use crate::link::{ANSWER_PATIENCE, HUGE, LinkAct};

const CLIENT: &str = "LPA, SM-DP, SM-SR, eIM";
const SERVER: &str = "SM-DP+, SM-DS, SM-DP, SM-SR";
const ASKS_AGAIN: &str =
    "It asks again, and gives up with the order intact; the profile in use stays in use.";
const BEGINS_AGAIN: &str = "What was done is not done twice: the download is begun again with the same order, the package bound to the same one-time key; a notification stays on the card until it is acknowledged.";
const NOT_AN_ANSWER: &str = "It is no answer of the function: nothing is concluded from it about the order, no notification is removed for it.";
const CHECKED: &str = "Nothing is taken that does not decode, or whose signature or MAC is wrong.";
const GIVES_UP: Option<Parameter> = Parameter::time("after which the sender gives up", ANSWER_PATIENCE);

const fn client(
    act: LinkAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    clause: &'static str,
    value: Option<Parameter>,
) -> Entry {
    let (id, places) = (FaultId::Link(act), Places::Function);
    Entry { id, name, what, peer: CLIENT, requirement, clause, answer: "", places, value }
}

const fn server(
    act: LinkAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    clause: &'static str,
    value: Option<Parameter>,
) -> Entry {
    Entry { peer: SERVER, ..client(act, name, what, requirement, clause, value) }
}

const fn status(code: u16, name: &'static str, what: &'static str) -> Entry {
    client(LinkAct::HttpStatus(code), name, what, NOT_AN_ANSWER, "SGP.22 6.5.1; RFC 9110 15.5, 15.6", None)
}

pub(super) static ENTRIES: &[Entry] = &[
    client(
        LinkAct::LoseRequest,
        "link/lose-request",
        "The request does not arrive, and the sender waits in vain.",
        ASKS_AGAIN,
        "SGP.22 3.1.3, 3.5",
        GIVES_UP,
    ),
    client(
        LinkAct::LoseAnswer,
        "link/lose-answer",
        "The request is acted upon, its answer does not arrive, and the sender waits in vain.",
        BEGINS_AGAIN,
        "SGP.22 3.1.3, 3.5, 5.6.2",
        GIVES_UP,
    ),
    client(
        LinkAct::Delay,
        "link/delay",
        "The request arrives late.",
        "Nobody gives up before the time that the standard or the settings give: sessions, orders and timers outlive it.",
        "SGP.22 3.1.3",
        Parameter::time("how late", Duration::from_secs(10)),
    ),
    server(
        LinkAct::Duplicate,
        "link/duplicate",
        "The request arrives twice; the sender gets the answer to the first.",
        "A request that comes twice does what it does once, and does not end the session of the first.",
        "SGP.22 5.6; RFC 9110 9.2.2",
        None,
    ),
    server(
        LinkAct::Reorder,
        "link/reorder",
        "The request is overtaken: its sender gives up, and it arrives after the next one on the same link.",
        "A late request to a session that has gone on, or is over, is refused and changes nothing.",
        "SGP.22 5.6",
        GIVES_UP,
    ),
    server(
        LinkAct::TruncateRequest,
        "link/truncate-request",
        "The end of the request's body is missing.",
        CHECKED,
        "SGP.22 6.5; RFC 9110 15.5.1",
        Parameter::octets("how many octets are left; half of them", None),
    ),
    client(
        LinkAct::TruncateAnswer,
        "link/truncate-answer",
        "The end of the answer's body is missing.",
        CHECKED,
        "SGP.22 6.5, 5.7.13",
        Parameter::octets("how many octets are left; half of them", None),
    ),
    server(
        LinkAct::CorruptRequest,
        "link/corrupt-request",
        "One bit of the request's body is another.",
        CHECKED,
        "SGP.22 5.6.2, 5.6.3, 6.5",
        Parameter::octets("which octet, from 0; by the dice", None),
    ),
    client(
        LinkAct::CorruptAnswer,
        "link/corrupt-answer",
        "One bit of the answer's body is another.",
        CHECKED,
        "SGP.22 2.6.4, 5.7.5, 5.7.13",
        Parameter::octets("which octet, from 0; by the dice", None),
    ),
    client(
        LinkAct::Reset,
        "link/reset",
        "The request is acted upon, and the connection breaks off before its answer.",
        BEGINS_AGAIN,
        "SGP.22 3.1.3, 3.5, 5.6.2",
        None,
    ),
    status(400, "link/http-400", "Instead of the server something on the way answers 400 Bad Request."),
    status(401, "link/http-401", "Instead of the server something on the way answers 401 Unauthorized."),
    status(403, "link/http-403", "Instead of the server something on the way answers 403 Forbidden."),
    status(404, "link/http-404", "Instead of the server something on the way answers 404 Not Found."),
    status(408, "link/http-408", "Instead of the server something on the way answers 408 Request Timeout."),
    status(413, "link/http-413", "Instead of the server something on the way answers 413 Content Too Large."),
    status(429, "link/http-429", "Instead of the server something on the way answers 429 Too Many Requests."),
    status(
        500,
        "link/http-500",
        "Instead of the server something on the way answers 500 Internal Server Error.",
    ),
    status(502, "link/http-502", "Instead of the server something on the way answers 502 Bad Gateway."),
    status(
        503,
        "link/http-503",
        "Instead of the server something on the way answers 503 Service Unavailable.",
    ),
    status(504, "link/http-504", "Instead of the server something on the way answers 504 Gateway Timeout."),
    client(
        LinkAct::SlowDrip,
        "link/slow-drip",
        "The answer comes octet by octet; when that takes too long, the sender gives up.",
        "A slow answer is waited for, but not for ever.",
        "SGP.22 3.1.3; RFC 9110 17",
        Parameter::time("how long an octet takes", Duration::from_millis(10)),
    ),
    client(
        LinkAct::WrongContentType,
        "link/wrong-content-type",
        "The answer says that it is text/html.",
        NOT_AN_ANSWER,
        "SGP.22 6.5.1, 6.6.1",
        None,
    ),
    client(
        LinkAct::EmptyBody,
        "link/empty-body",
        "The request is acted upon; the answer has no body.",
        "A function whose answer has a body is not held for done; HandleNotification, which has none, is.",
        "SGP.22 5.6.4, 6.5.1",
        None,
    ),
    client(
        LinkAct::HugeBody,
        "link/huge-body",
        "The answer is followed by blanks, more than anybody needs.",
        "Whoever reads has a limit or gets by without one; it does not fall.",
        "RFC 9110 17.5",
        Parameter::octets("how many octets the body has in the end", Some(HUGE)),
    ),
    client(
        LinkAct::Redirect,
        "link/redirect",
        "Instead of the server something on the way answers 302 Found, and names another host.",
        "It is not followed: the server is the one that the activation code, the notification or the settings name.",
        "SGP.22 3.0.1; RFC 9110 15.4",
        None,
    ),
];
