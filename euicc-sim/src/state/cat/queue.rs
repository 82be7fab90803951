//! The queue of proactive commands: TS 102 221 section 7.4.

use std::collections::VecDeque;

use rsp::ota::cat::{Command, GeneralResult, Proactive, TerminalResponse};

/// The component that requested a proactive command and receives its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The toolkit itself: polling, events, location and IMEI.
    Toolkit,
    /// The card's timers.
    Timers,
    /// The response packet to a command packet that arrived in a short message.
    ResponsePacket,
    /// A notification to the SM-SR.
    Notification,
    /// The administration agent.
    Agent,
    /// The multi-IMSI applet.
    Identities,
    /// The IPA inside the card.
    Ipae,
}

/// Command numbers. REFRESH has number 1 (TS 102 223 section 8.6: 1 to 254).
const NUMBERS: std::ops::RangeInclusive<u8> = 2..=254;

/// Maximum queue length. This is enough for a response packet in the maximum number of short
/// messages and one command of each other owner. No single owner queues this many commands.
const MAX_WAITING: usize = 300;

/// The commands that wait for FETCH, and the fetched command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    waiting: VecDeque<Queued>,
    fetched: Option<Queued>,
    last_number: u8,
    /// True if the terminal could not perform the first command, which then waits for the next
    /// event.
    is_held: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Queued {
    owner: Owner,
    proactive: Proactive,
    octets: Vec<u8>,
    /// Number of temporary failures.
    failures: u8,
}

/// The outcome of a TERMINAL RESPONSE.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResponseOutcome {
    /// The command is finished. The response is `None` if it could not be decoded.
    Finished(Owner, Box<Proactive>, Option<TerminalResponse>),
    /// The command will be repeated.
    Retry,
    /// The response matches no command.
    Unmatched,
}

impl Queue {
    /// Adds a command, and returns its number. Returns `None` if the queue is full.
    pub(crate) fn push(&mut self, owner: Owner, command: Command) -> Option<u8> {
        if self.waiting.len() >= MAX_WAITING {
            return None;
        }
        let number = self.last_number.saturating_add(1);
        self.last_number = if NUMBERS.contains(&number) { number } else { *NUMBERS.start() };
        let proactive = Proactive { number: self.last_number, command };
        let octets = proactive.to_bytes();
        self.waiting.push_back(Queued { owner, proactive, octets, failures: 0 });
        Some(self.last_number)
    }

    pub(crate) fn has_room(&self, commands: usize) -> bool {
        self.waiting.len().saturating_add(commands) <= MAX_WAITING
    }

    /// Removes the commands of an owner that were not fetched yet.
    pub(crate) fn withdraw(&mut self, owner: Owner) {
        self.waiting.retain(|queued| queued.owner != owner);
    }

    /// True if the owner has a waiting or fetched command.
    pub(crate) fn has(&self, owner: Owner) -> bool {
        self.waiting.iter().chain(&self.fetched).any(|queued| queued.owner == owner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.fetched.is_none()
    }

    pub(crate) fn is_fetched(&self) -> bool {
        self.fetched.is_some()
    }

    /// Permits a repetition of a command that failed temporarily, because a new event has occurred.
    pub(crate) fn release(&mut self) {
        self.is_held = false;
    }

    /// The command that FETCH would return.
    pub(crate) fn announced(&self) -> Option<&[u8]> {
        let first = self.waiting.front().filter(|_| !self.is_held && self.fetched.is_none())?;
        Some(&first.octets)
    }

    pub(crate) fn fetch(&mut self) -> Option<Vec<u8>> {
        self.announced()?;
        self.fetched = self.waiting.pop_front();
        self.fetched.as_ref().map(|queued| queued.octets.clone())
    }

    /// Processes TERMINAL RESPONSE. `tries` is the maximum number of attempts to send a response
    /// packet that fails temporarily. The other owners schedule their own retries.
    pub(crate) fn answer(&mut self, data: &[u8], tries: u8) -> ResponseOutcome {
        let Some(mut queued) = self.fetched.take() else { return ResponseOutcome::Unmatched };
        let response = TerminalResponse::parse(data).ok();
        if response.as_ref().is_some_and(|response| !response.answers(&queued.proactive)) {
            self.fetched = Some(queued);
            return ResponseOutcome::Unmatched;
        }
        queued.failures = queued.failures.saturating_add(1);
        let tries = if queued.owner == Owner::ResponsePacket { tries } else { 1 };
        let is_temporary = response.as_ref().is_some_and(|response| is_temporary_failure(response.result));
        if is_temporary && queued.failures < tries {
            self.waiting.push_front(queued);
            self.is_held = true;
            return ResponseOutcome::Retry;
        }
        ResponseOutcome::Finished(queued.owner, Box::new(queued.proactive), response)
    }
}

/// True for results that justify a retry: 2x (temporary failures), and 1x (interrupted by the
/// user).
fn is_temporary_failure(result: GeneralResult) -> bool {
    matches!(result.0 >> 4, 1 | 2)
}

/// TS 102 223 section 8.12: performed, limited service.
pub(crate) const LIMITED_SERVICE: GeneralResult = GeneralResult(0x06);

/// True for results 0x: performed, possibly with limitations. The standard also counts 1x as
/// performed. With these results, however, the user ended the command, and nothing was sent or
/// opened.
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
    fn owners_get_their_results_in_order() {
        let mut queue = Queue::default();
        assert_eq!(queue.announced(), None);
        assert_eq!(queue.push(Owner::Toolkit, poll()), Some(2));
        assert_eq!(queue.push(Owner::Agent, poll()), Some(3));
        let first = queue.fetch().unwrap();
        assert_eq!(first[4], 2);
        // Only one command can be fetched at a time.
        assert!(queue.announced().is_none() && queue.fetch().is_none());
        // A response to another command is not matched, and the command still waits for its own
        // response.
        assert_eq!(queue.answer(&response(9, 0), 3), ResponseOutcome::Unmatched);
        let ResponseOutcome::Finished(Owner::Toolkit, _, done) = queue.answer(&response(2, 0), 3) else {
            panic!()
        };
        assert_eq!(done.map(|done| done.result), Some(GeneralResult::PERFORMED));
        assert_eq!(queue.answer(&response(2, 0), 3), ResponseOutcome::Unmatched);
        queue.withdraw(Owner::Agent);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_temporary_failure_is_retried_a_limited_number_of_times() {
        let mut queue = Queue::default();
        queue.push(Owner::ResponsePacket, poll());
        for _ in 0..2 {
            queue.fetch().unwrap();
            assert_eq!(queue.answer(&response(2, 0x20), 3), ResponseOutcome::Retry);
            assert_eq!(queue.announced(), None);
            queue.release();
        }
        queue.fetch().unwrap();
        let ResponseOutcome::Finished(.., response) = queue.answer(&response(2, 0x21), 3) else { panic!() };
        assert_eq!(response.map(|response| response.result), Some(GeneralResult(0x21)));
    }

    #[test]
    fn command_numbers_wrap_around() {
        let mut queue = Queue::default();
        let mut seen = Vec::new();
        for _ in 0..600 {
            queue.push(Owner::Toolkit, poll());
            let number = queue.fetch().unwrap()[4];
            assert!((2..=254).contains(&number));
            seen.push(number);
            assert!(matches!(queue.answer(&response(number, 0x30), 3), ResponseOutcome::Finished(..)));
        }
        assert_eq!(seen[0], seen[253]);
    }

    #[test]
    fn an_undecodable_response_ends_the_command() {
        for garbage in [&[][..], &[0x81], &[0x81, 3, 2, 3, 0], &[0xFF, 0xFF], &[0x83, 1, 0]] {
            let mut queue = Queue::default();
            queue.push(Owner::Toolkit, poll());
            queue.fetch().unwrap();
            let ResponseOutcome::Finished(.., response) = queue.answer(garbage, 3) else {
                panic!("{garbage:02X?}")
            };
            assert_eq!(response, None);
        }
    }
}
