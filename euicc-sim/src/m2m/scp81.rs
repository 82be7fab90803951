//! The administration agent: GlobalPlatform Amendment B, SGP.02 sections 2.4.4 and 4.1.1.11.
//!
//! A session is stored before it is begun, and after each script that was run together with its answer: whatever
//! interrupts it, it is taken up with the request that the server has not answered, and no script runs twice for a lost
//! answer. A REFRESH waits until the session is over or interrupted, so that the answer leaves first.
//!
//! One session at a time. What is asked for while nothing goes on begins at once, and a session that waits to be tried
//! again has its turn after it. A notification is the SM-SR's to hear before anything else, and is not tried again here:
//! who sends it does that.

mod connection;
mod parameters;
pub(super) mod tls;

use rsp::der::DecodeError;
use rsp::ids::Aid;
use rsp::ota::admin::{AgentId, Post, Reply, ScriptStatus};
use rsp::ota::cat::{Command, OpenChannel, Response, TerminalResponse};
use rsp::ota::script::{BadFormat, Form, Script, ScriptResponse};

use super::super::cat::{Owner, has_streams, is_done};
use super::super::context::Context;
use super::fallback::Network;
use super::toolkit::{Alarm, ScriptAnswer, StoredSession, change_stored, numbers, start, stop, stored};
use super::{notification, script, state};

use connection::{Connection, Lost};
use parameters::Parameters;

pub(super) use parameters::{is_resolution, is_session};

/// How far the agent is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Agent {
    /// No session, or none that could be begun yet.
    #[default]
    Idle,
    /// The terminal is opening this channel.
    Opening(Box<OpenChannel>),
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
    let asked = StoredSession { parameters: octets.to_vec().into(), ..StoredSession::default() };
    let is_going_on = is_going_on(context);
    change_stored(context, |stored| stored.ask_for(asked, is_going_on));
    if !is_going_on {
        begin(context);
    }
    Ok(())
}

/// Whether the card speaks with the server, or is about to. A session that waits to be tried again does not.
pub(super) fn is_going_on(context: &Context<'_>) -> bool {
    matches!(context.volatile.cat.toolkit.agent, Agent::Opening(_) | Agent::Open(_))
}

/// A session in which the SM-SR hears the notification with this number. `false` when there cannot be one now.
pub(super) fn notify(context: &mut Context<'_>, number: u16) -> bool {
    let can_be = !is_going_on(context)
        && has_streams(context.volatile.cat.terminal())
        && Parameters::find(context, &[]).is_some();
    if can_be {
        let asked = StoredSession { notification: Some(number), ..StoredSession::default() };
        change_stored(context, |stored| stored.ask_for(asked, false));
        begin(context);
    }
    can_be
}

/// What is not pending any more is told in no session.
pub(super) fn forget_notifications(context: &mut Context<'_>) {
    let pending = stored(context).notification.as_ref().map(|pending| pending.sequence_number);
    let is_gone = |session: &StoredSession| session.notification.is_some() && session.notification != pending;
    let mut was_present = false;
    change_stored(context, |stored| was_present = stored.drop_sessions(is_gone));
    if was_present {
        disconnect(context);
        next(context);
    }
}

/// There is a network: sessions that were cut off by a reset go on.
pub(super) fn network_is_there(context: &mut Context<'_>) {
    match context.volatile.cat.toolkit.agent {
        Agent::Idle if stored(context).session.is_some() => begin(context),
        Agent::Idle => next(context),
        Agent::Opening(_) | Agent::Open(_) | Agent::Waiting => {}
    }
}

/// Nothing goes on: the turn of what waits. A REFRESH that is due goes before.
fn next(context: &mut Context<'_>) {
    if context.volatile.cat.is_busy() {
        return;
    }
    notification::session_is_over(context);
    if is_going_on(context) {
        return;
    }
    let mut is_turn_of_another = false;
    change_stored(context, |stored| is_turn_of_another = stored.take_turn());
    if is_turn_of_another {
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
    // Once more at least: a reset has come between, or the SM-SR asks again.
    if session.attempts > parameters.retries.max(1) {
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
    context.volatile.cat.ask(Owner::Agent, Command::OpenChannel(open.clone()));
    context.volatile.cat.hold_refresh(true);
    context.volatile.cat.toolkit.agent = Agent::Opening(Box::new(open));
    start(context, Alarm::Session, numbers(context).session_answer_seconds);
}

fn give_up(context: &mut Context<'_>, why: &str) {
    tracing::debug!(why, "a session is given up");
    let mut given_up = None;
    change_stored(context, |stored| given_up = stored.session.take());
    end(context);
    if given_up.is_some_and(|session| session.notification.is_some()) {
        notification::answered(context, None);
    }
    next(context);
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
        Agent::Opening(_) | Agent::Open(_) => interrupted(context, "nothing comes"),
    }
}

fn interrupted(context: &mut Context<'_>, why: &str) {
    tracing::debug!(why, "a session is interrupted");
    disconnect(context);
    let Some(session) = stored(context).session.clone() else { return next(context) };
    match Parameters::find(context, &session.parameters) {
        Some(parameters) if session.notification.is_none() && session.attempts <= parameters.retries => {
            context.volatile.cat.toolkit.agent = Agent::Waiting;
            start(context, Alarm::Session, parameters.retry_seconds);
            next(context);
        }
        _ => give_up(context, "tried often enough"),
    }
}

/// Of a channel that is open, or being opened, nothing more is wanted.
fn disconnect(context: &mut Context<'_>) {
    context.volatile.cat.withdraw(Owner::Agent);
    if let Agent::Open(connection) = &context.volatile.cat.toolkit.agent {
        let channel = connection.channel;
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
    }
    end(context);
}

/// The terminal has done, or not, what the agent asked for.
pub(super) fn answered(context: &mut Context<'_>, command: &Command, response: Option<&TerminalResponse>) {
    let done = response.filter(|response| is_done(response.result)).map(|done| &done.response);
    match (command, done) {
        (Command::OpenChannel(open), Some(Response::Channel { status: Some(status), .. })) => {
            opened(context, open, status.channel);
        }
        (Command::OpenChannel(open), _) if is_opening(context, open) => {
            interrupted(context, "the terminal cannot open a channel");
        }
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

fn is_opening(context: &Context<'_>, open: &OpenChannel) -> bool {
    matches!(&context.volatile.cat.toolkit.agent, Agent::Opening(wanted) if **wanted == *open)
}

fn is_open(context: &Context<'_>, channel: u8) -> bool {
    matches!(&context.volatile.cat.toolkit.agent, Agent::Open(connection) if connection.channel == channel)
}

fn is_listening(context: &Context<'_>, channel: u8) -> bool {
    matches!(&context.volatile.cat.toolkit.agent,
        Agent::Open(connection) if connection.channel == channel && !connection.is_closing)
}

fn opened(context: &mut Context<'_>, open: &OpenChannel, channel: u8) {
    if !is_opening(context, open) {
        // It comes too late.
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
        return;
    }
    let parameters = stored(context).session.as_ref().map(|session| session.parameters.clone());
    let Some(parameters) = parameters.and_then(|octets| Parameters::find(context, &octets)) else {
        context.volatile.cat.ask(Owner::Agent, Command::CloseChannel { channel });
        return give_up(context, "what the session needs is gone");
    };
    let connection = Connection::new(channel, &parameters, context.world);
    context.volatile.cat.toolkit.agent = Agent::Open(Box::new(connection));
    start(context, Alarm::Session, numbers(context).session_answer_seconds);
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
    let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent else { return };
    connection.available = left;
    let heard = match connection.receive(data) {
        Ok(heard) => heard,
        // What is left to say to the server does not matter.
        Err(Lost(why)) => return interrupted(context, &why),
    };
    let channel = connection.channel;
    if heard.is_heard {
        start(context, Alarm::Session, numbers(context).session_answer_seconds);
    }
    if heard.is_connected {
        ask(context);
    }
    for reply in heard.replies {
        // What is said after the end is said to nobody.
        if !is_listening(context, channel) {
            break;
        }
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
    let first = match session.notification {
        None => parameters.uri,
        Some(number) => match notification::encoded(context, number) {
            Some(notification) => notifying(&parameters.uri, &notification),
            None => return interrupted(context, "there is nothing to tell any more"),
        },
    };
    let post = Post {
        uri: session.next_uri.unwrap_or(first),
        host: parameters.host,
        agent: parameters.agent_id.unwrap_or_else(|| AgentId { eid: context.description.eid }.to_string()),
        // A notification that is told again is the first request of a session.
        resume: session.attempts > 1 && session.notification.is_none(),
        result: session.answer.map(|answer| (answer.status, answer.body.to_vec())),
    };
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent {
        connection.say(&post.to_bytes());
    }
}

/// SGP.02 section 4.1.1.11.
fn notifying(uri: &str, notification: &[u8]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}msg={}", hex::encode_upper(notification))
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
    // A server may have nothing at first. One that has nothing again and again would be asked without a pause and without end.
    let is_empty_again = script.is_empty()
        && stored(context).session.as_ref().is_some_and(|at| at.next_uri.is_some() && at.answer.is_none());
    if is_empty_again && next_uri.is_some() {
        return Err("the server has nothing to say, twice");
    }
    // It has been heard, and a confirmation in the script is not to end the session in which it comes.
    change_stored(context, |stored| {
        if let Some(session) = &mut stored.session {
            session.notification = None;
        }
    });
    let answer = if script.is_empty() { None } else { Some(run(context, target, &script)?) };
    // It has been run; if nothing more is wanted, nobody hears of it.
    if next_uri.is_none() {
        finish(context);
        return Ok(());
    }
    change_stored(context, |stored| {
        if let Some(session) = &mut stored.session {
            session.next_uri = next_uri;
            // Once it has said something the server is there, and what fails from here on fails anew.
            if answer.is_some() {
                session.attempts = 1;
            }
            session.answer = answer;
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
        next(context);
    } else if connection.available > 0 {
        let length = connection.available.min(connection::MAX_CHANNEL_DATA);
        context.volatile.cat.ask(Owner::Agent, Command::ReceiveData { channel, length });
    } else if connection.is_gone {
        interrupted(context, "the link is gone");
    }
}
