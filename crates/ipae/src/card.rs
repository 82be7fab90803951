//! The card as seen by its terminal.

use std::sync::Arc;

use device::EventSource;
use euicc_sim::{Card, ToolkitEvent};
use world::{Atr, CardInterface, CardInterfaceFault, Events};

use crate::program::Program;
use crate::servers::ServerTls;
use crate::toolkit::SharedToolkit;

/// A card with an IPA inside.
pub struct IpaeCard {
    toolkit: SharedToolkit,
    tls: ServerTls,
    events: EventSource,
    /// The running IPA; `None` before TERMINAL PROFILE, or while the IPA of the terminal is active.
    program: Option<Program>,
}

impl IpaeCard {
    /// Adds the IPA to a card. A card whose description has no IPA is not changed. `tls` has the
    /// trusted keys of servers. The IPA reports its calls to `events`.
    pub fn new(card: Card, tls: ServerTls, events: Arc<dyn Events>) -> Self {
        let toolkit = SharedToolkit::new(card);
        let events = EventSource::new("IPAe", Arc::clone(&tls.clock), events);
        Self { toolkit, tls, events, program: None }
    }

    /// Processes one command of the terminal, and lets the IPA continue.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        /// More data are available with GET RESPONSE.
        const MORE: u8 = 0x61;
        let mut response = self.toolkit.lock().card.transmit(command);
        // The commands of the IPA would discard the rest of the response (TS 102 221 section
        // 12.1.1), so the IPA continues when the terminal has all of it.
        if !matches!(response.as_slice(), [.., MORE, _]) && self.is_continued() {
            self.announce(&mut response);
        }
        response
    }

    /// Powers the card off and on again.
    pub fn reset(&mut self) -> Atr {
        self.program = None;
        let mut toolkit = self.toolkit.lock();
        toolkit.restart();
        toolkit.card.reset()
    }

    /// Lets the IPA continue if there are events for it. Returns false if there are none.
    fn is_continued(&mut self) -> bool {
        let Some((is_active, events)) = self.toolkit.lock().take_events() else { return false };
        if !is_active {
            return self.stop();
        }
        if events.is_empty() {
            return false;
        }
        for event in events {
            match event {
                ToolkitEvent::Started => self.start(),
                event => self.toolkit.lock().process(event),
            }
        }
        if let Some(program) = &mut self.program {
            program.run();
        }
        true
    }

    fn start(&mut self) {
        self.stop();
        let mut toolkit = self.toolkit.lock();
        toolkit.restart();
        let settings = toolkit.settings();
        drop(toolkit);
        let Some(settings) = settings else {
            tracing::info!("the IPA of the card cannot run: the terminal does not support TCP channels");
            return;
        };
        let program = Program::start(&self.toolkit, settings, self.tls.clone(), self.events.clone());
        match program {
            Ok(program) => self.program = Some(program),
            Err(fault) => tracing::warn!(%fault, "the IPA of the card cannot start"),
        }
    }

    /// Stops the IPA and closes its channels. Returns true if it was running.
    fn stop(&mut self) -> bool {
        if self.program.is_none() {
            return false;
        }
        self.toolkit.lock().withdraw();
        // The channels are closed when the program drops them.
        self.program = None;
        true
    }

    /// Replaces the status word of a successful command, because the IPA may have queued commands.
    fn announce(&self, response: &mut [u8]) {
        if let [.., sw1 @ (0x90 | 0x91), sw2] = response
            && (*sw1 == 0x91 || *sw2 == 0)
        {
            [*sw1, *sw2] = self.toolkit.lock().card.status().to_bytes();
        }
    }
}

impl CardInterface for IpaeCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        Ok(Self::transmit(self, command))
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(Self::reset(self))
    }
}
