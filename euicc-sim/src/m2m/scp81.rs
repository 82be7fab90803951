//! The administration agent: GlobalPlatform Amendment B, SGP.02 sections 2.4.4 and 4.1.1.11.
//!
//! A session is stored before it starts, and after each script together with the response. After an
//! interruption it resumes with the request that the server has not answered, so a lost response
//! never causes a script to run twice. A REFRESH is postponed until the session has ended or was
//! interrupted, so that the response is sent first.
//!
//! There is one session at a time. A requested session starts at once if no session is active. It
//! has priority over a session that waits for a retry. A session for a notification has priority
//! over all others. The agent does not retry it, because the notification itself is sent again.

pub(crate) mod connection;
mod parameters;
pub(super) mod tls;

use rsp::der::DecodeError;
use rsp::ids::Aid;
use rsp::ota::admin::{AgentId, Post, Reply, ScriptStatus};
use rsp::ota::cat::{Command, OpenChannel, Response, TerminalResponse};
use rsp::ota::script::{BadFormat, Form, Script, ScriptResponse};

use super::delivery;
use super::handlers::RunScript;
use crate::m2m::context::M2mContext;
use crate::m2m::toolkit::timers::{start, stop};
use crate::state::cat::facilities::supports_tcp_channels;
use crate::state::cat::queue::{Owner, is_done};
use crate::state::m2m::toolkit::{Agent, Network, TimerPurpose};
use crate::state::m2m::toolkit_state::{ScriptAnswer, StoredSession};

use connection::{Connection, Lost};
use parameters::Parameters;

pub(super) use parameters::{is_resolution, is_session};

/// Requested receive buffer of the terminal in octets. Most cards request this size.
const BUFFER_SIZE: u16 = 1400;

/// Processes a session trigger of the SM-SR: the complete TLV 81.
pub(super) fn trigger(context: &mut M2mContext<'_>, octets: &[u8]) -> Result<(), DecodeError> {
    parameters::check(octets)?;
    let requested = StoredSession { parameters: octets.to_vec().into(), ..StoredSession::default() };
    let is_active = is_active(context);
    context.update_toolkit_state(|state| state.request_session(requested, is_active));
    if !is_active {
        begin(context);
    }
    Ok(())
}

/// True if a session is active. A session that waits for its retry is not.
pub(super) fn is_active(context: &M2mContext<'_>) -> bool {
    context.volatile.cat.toolkit.agent.is_active()
}

/// Starts a session that reports the notification with this number. Returns `false` if that is not
/// possible now.
pub(super) fn notify(context: &mut M2mContext<'_>, number: u16) -> bool {
    let is_possible = !is_active(context)
        && supports_tcp_channels(&context.volatile.cat.terminal)
        && Parameters::find(context, &[]).is_some();
    if is_possible {
        let requested = StoredSession { notification: Some(number), ..StoredSession::default() };
        context.update_toolkit_state(|state| state.request_session(requested, false));
        begin(context);
    }
    is_possible
}

/// Cancels the sessions for notifications that are no longer pending.
pub(super) fn discard_notifications(context: &mut M2mContext<'_>) {
    let pending = context.state.toolkit.notification.as_ref().map(|pending| pending.sequence_number);
    let is_obsolete =
        |session: &StoredSession| session.notification.is_some() && session.notification != pending;
    let mut was_present = false;
    context.update_toolkit_state(|state| was_present = state.drop_sessions(is_obsolete));
    if was_present {
        disconnect(context);
        next(context);
    }
}

/// Resumes sessions when there is a network.
pub(super) fn network_available(context: &mut M2mContext<'_>) {
    match context.volatile.cat.toolkit.agent {
        Agent::Idle if context.state.toolkit.session.is_some() => begin(context),
        Agent::Idle => next(context),
        Agent::Opening(_) | Agent::Open(_) | Agent::Waiting => {}
    }
}

/// Starts the next waiting session after the end of the active one. A pending REFRESH goes first.
fn next(context: &mut M2mContext<'_>) {
    if context.volatile.cat.is_busy() {
        return;
    }
    delivery::session_ended(context, notify);
    if is_active(context) {
        return;
    }
    let mut has_next = false;
    context.update_toolkit_state(|state| has_next = state.take_turn());
    if has_next {
        begin(context);
    }
}

fn begin(context: &mut M2mContext<'_>) {
    let Some(session) = context.state.toolkit.session.clone() else { return };
    if !supports_tcp_channels(&context.volatile.cat.terminal) {
        return abandon(context, "the terminal does not support TCP channels");
    }
    let Some(parameters) = Parameters::find(context, &session.parameters) else {
        return abandon(context, "a session parameter is missing in the trigger and on the card");
    };
    if context.volatile.cat.toolkit.network != Network::Normal {
        context.volatile.cat.toolkit.agent = Agent::Idle;
        return;
    }
    // At least one retry is permitted, because a reset may have interrupted the session, or the
    // SM-SR may have repeated its request.
    if session.attempts > parameters.retries.max(1) {
        return abandon(context, "the retry limit is reached");
    }
    context.update_toolkit_state(|state| {
        if let Some(session) = &mut state.session {
            session.attempts = session.attempts.saturating_add(1);
        }
    });
    let mut channel = parameters.channel;
    channel.buffer_size = channel.buffer_size.or(Some(BUFFER_SIZE));
    let open = OpenChannel { immediate: true, automatic_reconnection: false, parameters: channel };
    context.volatile.cat.queue_command(Owner::Agent, Command::OpenChannel(open.clone()));
    context.volatile.cat.refresh_is_held = true;
    context.volatile.cat.toolkit.agent = Agent::Opening(Box::new(open));
    start(context, TimerPurpose::Session, context.toolkit_settings().session_answer_seconds);
}

fn abandon(context: &mut M2mContext<'_>, why: &str) {
    tracing::debug!(why, "a session was abandoned");
    let mut abandoned = None;
    context.update_toolkit_state(|state| abandoned = state.session.take());
    end(context);
    if abandoned.is_some_and(|session| session.notification.is_some()) {
        delivery::response_received(context, None);
    }
    next(context);
}

/// Resets the agent. The stored sessions are kept.
fn end(context: &mut M2mContext<'_>) {
    context.volatile.cat.toolkit.agent = Agent::Idle;
    context.volatile.cat.refresh_is_held = false;
    stop(context, TimerPurpose::Session);
}

/// Processes the expiration of the session timer: the server is silent, or the retry delay is over.
pub(super) fn timer_expired(context: &mut M2mContext<'_>) {
    match context.volatile.cat.toolkit.agent {
        Agent::Idle => {}
        Agent::Waiting => begin(context),
        Agent::Opening(_) | Agent::Open(_) => interrupt(context, "the server timed out"),
    }
}

fn interrupt(context: &mut M2mContext<'_>, why: &str) {
    tracing::debug!(why, "a session was interrupted");
    disconnect(context);
    let Some(session) = context.state.toolkit.session.clone() else { return next(context) };
    match Parameters::find(context, &session.parameters) {
        // req: SGP.02-2.4.4-Retry
        Some(parameters) if session.notification.is_none() && session.attempts <= parameters.retries => {
            context.volatile.cat.toolkit.agent = Agent::Waiting;
            start(context, TimerPurpose::Session, parameters.retry_seconds);
            next(context);
        }
        _ => abandon(context, "the retry limit is reached"),
    }
}

/// Closes the channel, whether it is open or being opened.
fn disconnect(context: &mut M2mContext<'_>) {
    context.volatile.cat.queue.withdraw(Owner::Agent);
    if let Agent::Open(connection) = &context.volatile.cat.toolkit.agent {
        let channel = connection.channel;
        context.volatile.cat.queue_command(Owner::Agent, Command::CloseChannel { channel });
    }
    end(context);
}

/// Processes the response to a proactive command of the agent.
pub(super) fn response_received(
    context: &mut M2mContext<'_>,
    command: &Command,
    response: Option<&TerminalResponse>,
    run_script: RunScript,
) {
    let done = response.filter(|response| is_done(response.result)).map(|done| &done.response);
    match (command, done) {
        (Command::OpenChannel(open), Some(Response::Channel { status: Some(status), .. })) => {
            opened(context, open, status.channel);
        }
        (Command::OpenChannel(open), _) if is_opening(context, open) => {
            interrupt(context, "the terminal cannot open a channel");
        }
        (Command::SendData { channel, .. }, done) if is_open(context, *channel) => match done {
            Some(_) => continue_channel(context),
            None => interrupt(context, "the terminal cannot send"),
        },
        (Command::ReceiveData { channel, .. }, done) if is_open(context, *channel) => match done {
            Some(Response::Received { data, left }) => received(context, data, *left, run_script),
            _ => interrupt(context, "the terminal has nothing to receive"),
        },
        // The response belongs to a session that is over.
        _ => {}
    }
}

fn is_opening(context: &M2mContext<'_>, open: &OpenChannel) -> bool {
    matches!(&context.volatile.cat.toolkit.agent, Agent::Opening(wanted) if **wanted == *open)
}

fn is_open(context: &M2mContext<'_>, channel: u8) -> bool {
    matches!(&context.volatile.cat.toolkit.agent, Agent::Open(connection) if connection.channel == channel)
}

fn is_listening(context: &M2mContext<'_>, channel: u8) -> bool {
    matches!(&context.volatile.cat.toolkit.agent,
        Agent::Open(connection) if connection.channel == channel && !connection.is_closing)
}

fn opened(context: &mut M2mContext<'_>, open: &OpenChannel, channel: u8) {
    if !is_opening(context, open) {
        // The session ended before the channel was opened.
        context.volatile.cat.queue_command(Owner::Agent, Command::CloseChannel { channel });
        return;
    }
    let parameters = context.state.toolkit.session.as_ref().map(|session| session.parameters.clone());
    let Some(parameters) = parameters.and_then(|octets| Parameters::find(context, &octets)) else {
        context.volatile.cat.queue_command(Owner::Agent, Command::CloseChannel { channel });
        return abandon(context, "the session parameters are no longer available");
    };
    let connection =
        Connection::new(channel, &parameters.psk_identity, parameters.psk.expose(), context.world.random());
    context.volatile.cat.toolkit.agent = Agent::Open(Box::new(connection));
    start(context, TimerPurpose::Session, context.toolkit_settings().session_answer_seconds);
    continue_channel(context);
}

/// Processes a Data available event.
pub(super) fn data_available(context: &mut M2mContext<'_>, channel: u8, octets: u8) {
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent
        && connection.channel == channel
    {
        connection.available = connection.available.max(octets);
        continue_channel(context);
    }
}

/// Processes the loss of the link. Data that the terminal received before can still be fetched.
pub(super) fn link_lost(context: &mut M2mContext<'_>, channel: u8) {
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent
        && connection.channel == channel
    {
        connection.is_lost = true;
        continue_channel(context);
    }
}

fn received(context: &mut M2mContext<'_>, data: &[u8], left: u8, run_script: RunScript) {
    let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent else { return };
    connection.available = left;
    let received_data = match connection.receive(data) {
        Ok(received_data) => received_data,
        // Pending output to the server is discarded.
        Err(Lost(why)) => return interrupt(context, &why),
    };
    let channel = connection.channel;
    if received_data.has_data {
        start(context, TimerPurpose::Session, context.toolkit_settings().session_answer_seconds);
    }
    if received_data.is_connected {
        send_request(context);
    }
    for reply in received_data.replies {
        // Replies after the end of the session are ignored.
        if !is_listening(context, channel) {
            break;
        }
        if let Err(why) = process_reply(context, reply, run_script) {
            return interrupt(context, why);
        }
    }
    continue_channel(context);
}

/// Sends the next request: the response to the last script, or the first request.
fn send_request(context: &mut M2mContext<'_>) {
    let Some(session) = context.state.toolkit.session.clone() else { return };
    let Some(parameters) = Parameters::find(context, &session.parameters) else { return };
    let first = match session.notification {
        None => parameters.uri,
        Some(number) => match delivery::encoded(context, number) {
            Some(notification) => notification_uri(&parameters.uri, &notification),
            None => return interrupt(context, "the notification is no longer pending"),
        },
    };
    let post = Post {
        uri: session.next_uri.unwrap_or(first),
        host: parameters.host,
        agent: parameters.agent_id.unwrap_or_else(|| AgentId { eid: context.description.eid }.to_string()),
        // The first request of a repeated notification is not a resumption.
        resume: session.attempts > 1 && session.notification.is_none(),
        result: session.answer.map(|answer| (answer.status, answer.body.to_vec())),
    };
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent {
        connection.send(&post.to_bytes());
    }
}

/// Appends the notification to the URI: SGP.02 section 4.1.1.11.
fn notification_uri(uri: &str, notification: &[u8]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}msg={}", hex::encode_upper(notification))
}

/// Processes a reply of the server.
fn process_reply(
    context: &mut M2mContext<'_>,
    reply: Reply,
    run_script: RunScript,
) -> Result<(), &'static str> {
    let (target, next_uri, script) = match reply {
        Reply::Commands { target, next_uri, script } => (target, next_uri, script),
        Reply::End => {
            finish(context);
            return Ok(());
        }
        Reply::Refused(_) => return Err("the server refused the request"),
    };
    if next_uri.as_deref().is_some_and(|uri| !parameters::is_request_target(uri)) {
        return Err("the next URI is invalid");
    }
    // A first reply without a script is accepted. Repeated replies without a script would be polled
    // without a pause and without end.
    let is_empty_again = script.is_empty()
        && context
            .state
            .toolkit
            .session
            .as_ref()
            .is_some_and(|at| at.next_uri.is_some() && at.answer.is_none());
    if is_empty_again && next_uri.is_some() {
        return Err("the server sent two replies without a script");
    }
    // The notification was received. A confirmation in the script must not end the session in which
    // it arrives.
    context.update_toolkit_state(|state| {
        if let Some(session) = &mut state.session {
            session.notification = None;
        }
    });
    let answer = if script.is_empty() { None } else { Some(run(context, target, &script, run_script)?) };
    // Without a next URI the response to the script is not sent.
    if next_uri.is_none() {
        finish(context);
        return Ok(());
    }
    context.update_toolkit_state(|state| {
        if let Some(session) = &mut state.session {
            session.next_uri = next_uri;
            // After a script was received the server is known to be reachable, so the retries start
            // again.
            if answer.is_some() {
                session.attempts = 1;
            }
            session.answer = answer;
        }
    });
    send_request(context);
    Ok(())
}

fn run(
    context: &mut M2mContext<'_>,
    target: Option<Aid>,
    octets: &[u8],
    run_script: RunScript,
) -> Result<ScriptAnswer, &'static str> {
    let target = target.unwrap_or_else(|| Aid(Aid::ISD_R.to_vec()));
    if !context.state.is_target(&target) {
        return Ok(ScriptAnswer { status: ScriptStatus::UnknownApplication, body: Vec::new().into() });
    }
    let session = context.state.toolkit.session.as_ref().map(|session| session.parameters.clone());
    let Some(parameters) = session.and_then(|octets| Parameters::find(context, &octets)) else {
        return Err("the key of the session no longer exists");
    };
    let response = match Script::parse(octets) {
        Ok(script) => run_script(context, &target, parameters.key_version, &script),
        Err(error) => ScriptResponse {
            bad_format: Some(BadFormat::of(&error)),
            ..ScriptResponse::of(Form::Indefinite, Vec::new())
        },
    };
    Ok(ScriptAnswer { status: ScriptStatus::Ok, body: response.to_bytes().into() })
}

/// Ends the session after the last reply.
fn finish(context: &mut M2mContext<'_>) {
    context.update_toolkit_state(|state| state.session = None);
    if let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent {
        connection.close();
    }
    continue_channel(context);
}

/// Queues the next command of the session: send, receive or close, one at a time.
fn continue_channel(context: &mut M2mContext<'_>) {
    if context.volatile.cat.queue.has(Owner::Agent) {
        return;
    }
    let Agent::Open(connection) = &mut context.volatile.cat.toolkit.agent else { return };
    let channel = connection.channel;
    if let Some(data) = connection.next_to_send() {
        let command = Command::SendData { channel, immediately: true, data };
        context.volatile.cat.queue_command(Owner::Agent, command);
    } else if connection.is_closing {
        context.volatile.cat.queue_command(Owner::Agent, Command::CloseChannel { channel });
        end(context);
        next(context);
    } else if connection.available > 0 {
        let length = connection.available.min(connection::MAX_CHANNEL_DATA);
        context.volatile.cat.queue_command(Owner::Agent, Command::ReceiveData { channel, length });
    } else if connection.is_lost {
        interrupt(context, "the link was lost");
    }
}
