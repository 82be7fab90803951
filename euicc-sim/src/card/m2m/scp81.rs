//! The administration agent: GlobalPlatform Amendment B, SGP.02 sections 2.4.4 and 4.1.1.11.
//!
//! A session is stored before it is begun, and after each script that was run together with its answer: whatever
//! interrupts it, it is taken up with the request that the server has not answered, and no script runs twice for a lost
//! answer. A REFRESH waits until the session is over or interrupted, so that the answer leaves first.

mod connection;
mod parameters;
pub(super) mod tls;

use rsp::der::DecodeError;
use rsp::ids::Aid;
use rsp::ota::admin::{AgentId, Post, Reply, ScriptStatus};
use rsp::ota::cat::{Command, OpenChannel, Response, TerminalResponse};
use rsp::ota::script::{BadFormat, Form, Script, ScriptResponse};

use super::super::cat::{Owner, has_streams, is_performed};
use super::super::context::Context;
use super::fallback::Network;
use super::toolkit::{Alarm, ScriptAnswer, StoredSession, change_stored, numbers, start, stop, stored};
use super::{script, state};

use connection::{Connection, Lost};
use parameters::Parameters;

pub(super) use parameters::{is_resolution, is_session};

/// How far the agent is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Agent {
    /// No session, or none that could be begun yet.
    #[default]
    Idle,
    /// The terminal is opening a channel.
    Opening,
    /// The channel is open.
    Open(Box<Connection>),
    /// The session was interrupted and will be begun again.
    Waiting,
}

/// The terminal's receiving buffer: what most cards ask for.
const BUFFER_SIZE: u16 = 1400;

/// A session that the SM-SR asks for: the whole of tag 81.
pub(super) fn trigger(context: &mut Context<'_>, octets: &[u8]) -> Result<(), DecodeError> {
    parameters::check(octets)?;
    // One at a time: what the server wants to say it can say in the session that is open.
    if matches!(context.volatile.cat.toolkit.agent, Agent::Opening | Agent::Open(_)) {
        return Ok(());
    }
    let session = StoredSession { parameters: octets.to_vec().into(), ..StoredSession::default() };
    change_stored(context, |stored| stored.session = Some(session));
    begin(context);
    Ok(())
}

/// Whether a session has been begun and not come to its end.
pub(super) fn is_under_way(context: &Context<'_>) -> bool {
    stored(context).session.is_some()
}

/// A session in which the SM-SR is notified. `false` when there cannot be one now.
pub(super) fn notify(context: &mut Context<'_>, notification: &[u8]) -> bool {
    if is_under_way(context) || !has_streams(context.volatile.cat.terminal()) {
        return false;
    }
    let Some(parameters) = Parameters::find(context, &[]) else { return false };
    let separator = if parameters.uri.contains('?') { '&' } else { '?' };
    let uri = format!("{}{separator}msg={}", parameters.uri, hex::encode_upper(notification));
    let session = StoredSession { next_uri: Some(uri), ..StoredSession::default() };
    change_stored(context, |stored| stored.session = Some(session));
    begin(context);
    true
}

/// There is a network: a session that was cut off by a reset goes on.
pub(super) fn network_is_there(context: &mut Context<'_>) {
    if matches!(context.volatile.cat.toolkit.agent, Agent::Idle) && stored(context).session.is_some() {
        begin(context);
    }
}

fn begin(context: &mut Context<'_>) {
    let Some(session) = stored(context).session.clone() else { return };
    if !has_streams(context.volatile.cat.terminal()) {
        return give_up(context, "the terminal opens no byte streams");
    }
    let Some(parameters) = Parameters::find(context, &session.parameters) else {
        return give_up(context, "something that a session needs is neither in the trigger nor on the card");
    };
    if context.volatile.cat.toolkit.network != Network::Normal {
        context.volatile.cat.toolkit.agent = Agent::Idle;
        return;
    }
    if session.attempts > parameters.retries {
        return give_up(context, "tried often enough");
    }
    change_stored(context, |stored| {
        if let Some(session) = &mut stored.session {
            session.attempts = session.attempts.saturating_add(1);
        }
    });
    let mut channel = parameters.channel;
    channel.buffer_size = channel.buffer_size.or(Some(BUFFER_SIZE));
    let open = OpenChannel { immediate: true, automatic_reconnection: false, parameters: channel };
    context.volatile.cat.ask(Owner::Agent, Command::OpenChannel(open));
    context.volatile.cat.hold_refresh(true);
    context.volatile.cat.toolkit.agent = Agent::Opening;
    start(context, Alarm::Session, numbers(context).session_answer_seconds);
}

fn give_up(context: &mut Context<'_>, why: &str) {
    tracing::debug!(why, "a session is given up");
    change_stored(context, |stored| stored.session = None);
    end(context);
}

/// Nothing is under way any more, whatever is stored.
fn end(context: &mut Context<'_>) {
    context.volatile.cat.toolkit.agent = Agent::Idle;
    context.volatile.cat.hold_refresh(false);
    stop(context, Alarm::Session);
}

/// The server is silent, or it is time to begin again.
pub(super) fn waited_long_enough(context: &mut Context<'_>) {
    match context.volatile.cat.toolkit.agent {
        Agent::Idle => {}
        Agent::Waiting => begin(context),
        Agent::Opening | Agent::Open(_) => interrupted(context, "nothing comes"),
    }
}

fn interrupted(context: &mut Context<'_>, why: &str) {
    tracing::debug!(why, "a session is interrupted");
    context.volatile.cat.withdraw(Owner::Agent);
    if let Agent::Open(connection) = &context.volatile.cat.toolkit.agent {
        let channel = connection.channel;
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
    }
    end(context);
    let Some(session) = stored(context).session.clone() else { return };
    match Parameters::find(context, &session.parameters) {
        Some(parameters) if session.attempts <= parameters.retries => {
            context.volatile.cat.toolkit.agent = Agent::Waiting;
            start(context, Alarm::Session, parameters.retry_seconds);
        }
        _ => give_up(context, "tried often enough"),
    }
}

/// The terminal has done, or not, what the agent asked for.
pub(super) fn answered(context: &mut Context<'_>, command: &Command, response: Option<&TerminalResponse>) {
    let done = response.filter(|response| is_performed(response.result)).map(|done| &done.response);
    match (command, done) {
        (Command::OpenChannel(_), Some(Response::Channel { status: Some(status), .. })) => {
            opened(context, status.channel);
        }
        (Command::OpenChannel(_), _) => interrupted(context, "the terminal cannot open a channel"),
        (Command::SendData { channel, .. }, done) if is_open(context, *channel) => match done {
            Some(_) => go_on(context),
            None => interrupted(context, "the terminal cannot send"),
        },
        (Command::ReceiveData { channel, .. }, done) if is_open(context, *channel) => match done {
            Some(Response::Received { data, left }) => received(context, data, *left),
            _ => interrupted(context, "the terminal has nothing to receive"),
        },
        // Of a session that is over.
        _ => {}
    }
}

fn is_open(context: &Context<'_>, channel: u8) -> bool {
    matches!(&context.volatile.cat.toolkit.agent, Agent::Open(connection) if connection.channel == channel)
}

fn opened(context: &mut Context<'_>, channel: u8) {
    if !matches!(context.volatile.cat.toolkit.agent, Agent::Opening) {
        // It comes too late.
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
        return;
    }
    let parameters = stored(context).session.as_ref().map(|session| session.parameters.clone());
    let Some(parameters) = parameters.and_then(|octets| Parameters::find(context, &octets)) else {
        return give_up(context, "the key of the session is gone");
    };
    let connection = Connection::new(channel, &parameters, context.world);
    context.volatile.cat.toolkit.agent = Agent::Open(Box::new(connection));
    go_on(context);
}

/// The terminal has something that came.
pub(super) fn data_available(context: &mut Context<'_>, channel: u8, octets: u8) {
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent
        && connection.channel == channel
    {
        connection.available = connection.available.max(octets);
        go_on(context);
    }
}

/// The link under a channel is gone; what the terminal has received before can still be had.
pub(super) fn channel_gone(context: &mut Context<'_>, channel: u8) {
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent
        && connection.channel == channel
    {
        connection.is_gone = true;
        go_on(context);
    }
}

fn received(context: &mut Context<'_>, data: &[u8], left: u8) {
    start(context, Alarm::Session, numbers(context).session_answer_seconds);
    let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent else { return };
    connection.available = left;
    let heard = match connection.receive(data) {
        Ok(heard) => heard,
        // What is left to say to the server does not matter.
        Err(Lost(why)) => return interrupted(context, &why),
    };
    if heard.is_connected {
        ask(context);
    }
    for reply in heard.replies {
        if let Err(why) = react(context, reply) {
            return interrupted(context, why);
        }
    }
    go_on(context);
}

/// The next request of the session: the answer to the last script, or the first words.
fn ask(context: &mut Context<'_>) {
    let Some(session) = stored(context).session.clone() else { return };
    let Some(parameters) = Parameters::find(context, &session.parameters) else { return };
    let post = Post {
        uri: session.next_uri.unwrap_or(parameters.uri),
        host: parameters.host,
        agent: parameters.agent_id.unwrap_or_else(|| AgentId { eid: context.description.eid }.to_string()),
        resume: session.attempts > 1,
        result: session.answer.map(|answer| (answer.status, answer.body.to_vec())),
    };
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent {
        connection.say(&post.to_bytes());
    }
}

/// What the server says.
fn react(context: &mut Context<'_>, reply: Reply) -> Result<(), &'static str> {
    let (target, next_uri, script) = match reply {
        Reply::Commands { target, next_uri, script } => (target, next_uri, script),
        Reply::End => {
            finish(context);
            return Ok(());
        }
        Reply::Refused(_) => return Err("the server refuses"),
    };
    if next_uri.as_deref().is_some_and(|uri| !parameters::is_request_target(uri)) {
        return Err("the next URI is none");
    }
    let answer = if script.is_empty() { None } else { Some(run(context, target, &script)?) };
    // It has been run; if nothing more is wanted, nobody hears of it.
    if next_uri.is_none() {
        finish(context);
        return Ok(());
    }
    change_stored(context, |stored| {
        if let Some(session) = &mut stored.session {
            session.next_uri = next_uri;
            session.answer = answer;
            // The server is there, and what fails from here on fails anew.
            session.attempts = 1;
        }
    });
    ask(context);
    Ok(())
}

fn run(context: &mut Context<'_>, target: Option<Aid>, octets: &[u8]) -> Result<ScriptAnswer, &'static str> {
    let target = target.unwrap_or_else(|| Aid(Aid::ISD_R.to_vec()));
    if !state::is_target(context, &target) {
        return Ok(ScriptAnswer { status: ScriptStatus::UnknownApplication, body: Vec::new().into() });
    }
    let session = stored(context).session.as_ref().map(|session| session.parameters.clone());
    let Some(parameters) = session.and_then(|octets| Parameters::find(context, &octets)) else {
        return Err("the key of the session is gone");
    };
    let ran = match Script::parse(octets) {
        Ok(script) => script::run(context, &target, parameters.key_version, &script),
        Err(error) => ScriptResponse {
            bad_format: Some(BadFormat::of(&error)),
            ..ScriptResponse::of(Form::Indefinite, Vec::new())
        },
    };
    Ok(ScriptAnswer { status: ScriptStatus::Ok, body: ran.to_bytes().into() })
}

/// The server has nothing more to say.
fn finish(context: &mut Context<'_>) {
    change_stored(context, |stored| stored.session = None);
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent {
        connection.close();
    }
    go_on(context);
}

/// Lets the terminal do what comes next: send, receive, close; one at a time.
fn go_on(context: &mut Context<'_>) {
    if context.volatile.cat.is_asking(Owner::Agent) {
        return;
    }
    let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent else { return };
    let channel = connection.channel;
    if let Some(data) = connection.next_to_send() {
        let command = Command::SendData { channel, immediately: true, data };
        context.volatile.cat.ask(Owner::Agent, command);
    } else if connection.is_closing {
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
        end(context);
    } else if connection.available > 0 {
        let length = connection.available.min(connection::MAX_CHANNEL_DATA);
        context.volatile.cat.ask(Owner::Agent, Command::ReceiveData { channel, length });
    } else if connection.is_gone {
        interrupted(context, "the link is gone");
    }
}
