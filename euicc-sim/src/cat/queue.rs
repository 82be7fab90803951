//! What the card wants of its terminal, in the order in which it wants it: TS 102 221 section 7.4.

use std::collections::VecDeque;

use rsp::ota::cat::{Command, GeneralResult, Proactive, TerminalResponse};

/// Who asked, and is told how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The toolkit itself: polls, events, where the terminal is and which one.
    Toolkit,
    /// The card's timers.
    Alarms,
    /// The response to a command packet that came as a short message.
    ResponsePacket,
    /// A notification to the SM-SR.
    Notification,
    /// The administration agent.
    Agent,
    /// The applet of several identities.
    Identities,
}

/// Numbers of commands; REFRESH is number 1 (TS 102 223 section 8.6: 1 to 254).
const NUMBERS: std::ops::RangeInclusive<u8> = 2..=254;

/// How many may wait: a response packet in as many messages as there can be, and one of every other owner. No owner comes
/// near it by itself.
const MAX_WAITING: usize = 300;

/// Commands that wait for FETCH, and the one that was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    waiting: VecDeque<Queued>,
    fetched: Option<Queued>,
    last_number: u8,
    /// The terminal could not do the first one just now: it waits for something to happen.
    is_held: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Queued {
    owner: Owner,
    proactive: Proactive,
    octets: Vec<u8>,
    /// How often the terminal could not do it just now.
    failures: u8,
}

/// What TERMINAL RESPONSE came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Whose command is done with, and how; without an answer where it could not be read.
    Done(Owner, Box<Command>, Option<TerminalResponse>),
    /// It will be asked again.
    Later,
    /// Nobody asked for this answer.
    Nobody,
}

impl Queue {
    pub(super) fn push(&mut self, owner: Owner, command: Command) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        let number = self.last_number.saturating_add(1);
        self.last_number = if NUMBERS.contains(&number) { number } else { *NUMBERS.start() };
        let proactive = Proactive { number: self.last_number, command };
        let octets = proactive.to_bytes();
        self.waiting.push_back(Queued { owner, proactive, octets, failures: 0 });
        true
    }

    pub(super) fn has_room(&self, commands: usize) -> bool {
        self.waiting.len().saturating_add(commands) <= MAX_WAITING
    }

    /// Takes back what was not fetched yet.
    pub(super) fn withdraw(&mut self, owner: Owner) {
        self.waiting.retain(|queued| queued.owner != owner);
    }

    /// Whether the owner has something here, waiting or fetched.
    pub(super) fn has(&self, owner: Owner) -> bool {
        self.waiting.iter().chain(&self.fetched).any(|queued| queued.owner == owner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.fetched.is_none()
    }

    pub(super) fn is_fetched(&self) -> bool {
        self.fetched.is_some()
    }

    /// Something has happened: what the terminal could not do then it may be able to do now.
    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// What FETCH would bring.
    pub(super) fn announced(&self) -> Option<&[u8]> {
        let first = self.waiting.front().filter(|_| !self.is_held && self.fetched.is_none())?;
        Some(&first.octets)
    }

    pub(super) fn fetch(&mut self) -> Option<Vec<u8>> {
        self.announced()?;
        self.fetched = self.waiting.pop_front();
        self.fetched.as_ref().map(|queued| queued.octets.clone())
    }

    /// `tries`: how often a response packet is asked for that the terminal cannot send just now. The other owners wait and
    /// try again themselves.
    pub(super) fn answer(&mut self, data: &[u8], tries: u8) -> Answered {
        let Some(mut queued) = self.fetched.take() else { return Answered::Nobody };
        let response = TerminalResponse::parse(data).ok();
        if response.as_ref().is_some_and(|response| !response.answers(&queued.proactive)) {
            self.fetched = Some(queued);
            return Answered::Nobody;
        }
        queued.failures = queued.failures.saturating_add(1);
        let tries = if queued.owner == Owner::ResponsePacket { tries } else { 1 };
        let is_passing = response.as_ref().is_some_and(|response| is_to_be_tried_again(response.result));
        if is_passing && queued.failures < tries {
            self.waiting.push_front(queued);
            self.is_held = true;
            return Answered::Later;
        }
        Answered::Done(queued.owner, Box::new(queued.proactive.command), response)
    }
}

/// It may be worth trying again: 2x, and 1x where a user has come in between.
fn is_to_be_tried_again(result: GeneralResult) -> bool {
    matches!(result.0 >> 4, 1 | 2)
}

/// Done, be it not quite as asked: 0x. The standard calls 1x performed as well, but there a user has ended it, and nothing
/// was sent or opened.
pub(crate) fn is_done(result: GeneralResult) -> bool {
    result.0 >> 4 == 0
}

#[cfg(test)]
mod tests {
    use rsp::ota::cat::Duration;

    use super::*;

    fn poll() -> Command {
        Command::PollInterval(Duration::Seconds(30))
    }

    fn response(number: u8, result: u8) -> Vec<u8> {
        vec![0x81, 3, number, 0x03, 0, 0x82, 2, 0x82, 0x81, 0x83, 1, result]
    }

    #[test]
    fn each_owner_is_told_in_turn() {
        let mut queue = Queue::default();
        assert_eq!(queue.announced(), None);
        assert!(queue.push(Owner::Toolkit, poll()));
        assert!(queue.push(Owner::Agent, poll()));
        let first = queue.fetch().unwrap();
        assert_eq!(first[4], 2);
        // One at a time.
        assert!(queue.announced().is_none() && queue.fetch().is_none());
        // An answer to another command is nobody's, and the command still waits for its own.
        assert_eq!(queue.answer(&response(9, 0), 3), Answered::Nobody);
        let Answered::Done(Owner::Toolkit, _, done) = queue.answer(&response(2, 0), 3) else { panic!() };
        assert_eq!(done.map(|done| done.result), Some(GeneralResult::PERFORMED));
        assert_eq!(queue.answer(&response(2, 0), 3), Answered::Nobody);
        queue.withdraw(Owner::Agent);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_cannot_be_done_now_is_asked_again_but_not_for_ever() {
        let mut queue = Queue::default();
        queue.push(Owner::ResponsePacket, poll());
        for _ in 0..2 {
            queue.fetch().unwrap();
            assert_eq!(queue.answer(&response(2, 0x20), 3), Answered::Later);
            assert_eq!(queue.announced(), None);
            queue.release();
        }
        queue.fetch().unwrap();
        let Answered::Done(.., response) = queue.answer(&response(2, 0x21), 3) else { panic!() };
        assert_eq!(response.map(|response| response.result), Some(GeneralResult(0x21)));
    }

    #[test]
    fn numbers_go_round() {
        let mut queue = Queue::default();
        let mut seen = Vec::new();
        for _ in 0..600 {
            queue.push(Owner::Toolkit, poll());
            let number = queue.fetch().unwrap()[4];
            assert!((2..=254).contains(&number));
            seen.push(number);
            assert!(matches!(queue.answer(&response(number, 0x30), 3), Answered::Done(..)));
        }
        assert_eq!(seen[0], seen[253]);
    }

    #[test]
    fn an_answer_that_cannot_be_read_ends_the_command() {
        for garbage in [&[][..], &[0x81], &[0x81, 3, 2, 3, 0], &[0xFF, 0xFF], &[0x83, 1, 0]] {
            let mut queue = Queue::default();
            queue.push(Owner::Toolkit, poll());
            queue.fetch().unwrap();
            let Answered::Done(.., response) = queue.answer(garbage, 3) else { panic!("{garbage:02X?}") };
            assert_eq!(response, None);
        }
    }
}
