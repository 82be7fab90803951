//! The card as seen by the IPA inside: its ISD-R, its memory, its reset, and the network service
//! that the terminal reports.

use std::future::{pending, poll_fn};
use std::task::Poll;

use device::ipa::Connectivity;
use device::modem::NoService;
use device::{CardError, Es10, NotRegistered, Registered};
use rsp::ids::Plmn;
use world::{Atr, Batch, CardInterface, CardInterfaceFault, Cells, Content, Fault, Memory};

use crate::sleep::sleep;
use crate::toolkit::SharedToolkit;

/// The access of the IPA to the applications of its card.
pub(crate) struct OwnCard(pub(crate) SharedToolkit);

impl CardInterface for OwnCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let mut toolkit = self.0.lock();
        let port = toolkit.card.ipae();
        let mut port = port.ok_or_else(|| CardInterfaceFault::NoCard("the card has no IPA".to_owned()))?;
        Ok(port.transmit(command))
    }

    /// Only the terminal can reset the card: see [`TerminalService::reset`].
    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Err(CardInterfaceFault::Card("an IPA inside a card cannot cycle its power".to_owned()))
    }
}

/// The network service that the terminal reports, and its resets.
pub(crate) struct TerminalService {
    pub(crate) toolkit: SharedToolkit,
    /// Time for the terminal to register.
    pub(crate) attach_seconds: u64,
}

impl TerminalService {
    async fn service(&self) {
        poll_fn(|_| match self.toolkit.lock().has_service() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Connectivity for TerminalService {
    /// The terminal does not report the details of its registration.
    fn registered(&self) -> Option<&Registered> {
        None
    }

    fn network(&self) -> Option<Plmn> {
        self.toolkit.lock().network()
    }

    /// The terminal reports each change of the service.
    fn deregister(&mut self) {}

    async fn register(&mut self) -> Result<(), NotRegistered> {
        tokio::select! {
            biased;
            () = self.service() => Ok(()),
            () = sleep(&self.toolkit, self.attach_seconds) => {
                Err(NotRegistered { why: NoService::NoCoverage, tried: Vec::new() })
            }
        }
    }

    /// Waits for the terminal to perform the REFRESH that the card has announced. It does not
    /// return: the REFRESH ends the session of the card, and the IPA starts again after it.
    // req: SGP.32-3.3.1-IpaeRefresh
    async fn refresh<D: CardInterface>(&mut self, _: &mut Es10<D>) -> Result<(), CardError> {
        pending().await
    }

    /// Requests a reset by the terminal. It does not return, for the same reason.
    async fn reset<D: CardInterface>(&mut self, _: &mut Es10<D>) -> Result<(), CardError> {
        if let Some(mut port) = self.toolkit.lock().card.ipae() {
            port.request_reset();
        }
        pending().await
    }
}

/// The part of the card's memory that belongs to the IPA. It has one cell.
// req: SGP.32-3.3.1-IpaeLoss
pub(crate) struct OwnMemory(pub(crate) SharedToolkit);

impl Memory for OwnMemory {
    fn load(&self) -> Result<Cells, Fault> {
        let stored = self.0.lock().card.ipae().map(|port| port.memory()).unwrap_or_default();
        let cell = (!stored.is_empty()).then(|| (device::ipa::MEMORY_CELL.to_owned(), Content::from(stored)));
        Ok(cell.into_iter().collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        let mut cells = self.load()?;
        batch.apply_to(&mut cells);
        let stored = cells.get(device::ipa::MEMORY_CELL).map(Content::to_vec).unwrap_or_default();
        match self.0.lock().card.ipae() {
            Some(mut port) => port.store(stored),
            None => Ok(()),
        }
    }
}
