//! Faults of the commands between an LPA and its card.

use std::time::Duration;

use tokio::time::sleep;
use world::{Atr, CardInterface, CardInterfaceFault};

use super::acts::ApduAct;
use super::card_function::function_of;
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec};

/// STORE DATA.
const STORE_DATA: u8 = 0xE2;
/// Position of the data of a short command.
const DATA: usize = 5;
/// Pause before a lost response is reported.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(10);

/// The interface to a card with injected faults. An occasion is a STORE DATA command, of which a
/// function can need several.
pub struct FaultyCardInterface<D> {
    inner: D,
    faults: FaultInjector,
    /// Interface and name of the function whose commands are sent.
    function: Option<(&'static str, String)>,
}

impl<D: CardInterface> FaultyCardInterface<D> {
    /// Wraps the interface to a card.
    pub fn new(inner: D, faults: FaultInjector) -> Self {
        Self { inner, faults, function: None }
    }

    fn next_fault(&mut self, command: &[u8]) -> Option<(ApduAct, String)> {
        let (Some(&STORE_DATA), Some(number)) = (command.get(1), command.get(3)) else { return None };
        if *number == 0 {
            self.function = command.get(DATA..).and_then(function_of);
        }
        let (interface, function) = self.function.as_ref()?;
        let here = [*interface, function.as_str()];
        let concerns = |spec: &FaultSpec| matches!(spec.id(), FaultId::Apdu(_)) && spec.is_at(&here);
        let injected = self.faults.next_fault(concerns)?;
        match injected.id() {
            FaultId::Apdu(act) => Some((act, injected.spec().to_string())),
            _ => None,
        }
    }
}

impl<D: CardInterface> CardInterface for FaultyCardInterface<D> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let Some((act, spec)) = self.next_fault(command) else { return self.inner.transmit(command).await };
        match act {
            ApduAct::LoseResponse => {
                self.inner.transmit(command).await?;
                sleep(RESPONSE_TIMEOUT).await;
                Err(CardInterfaceFault::Timeout(spec))
            }
            ApduAct::ResetBefore => {
                self.reset().await?;
                Err(CardInterfaceFault::Broken(spec))
            }
            ApduAct::ResetAfter => {
                self.inner.transmit(command).await?;
                self.reset().await?;
                Err(CardInterfaceFault::Broken(spec))
            }
        }
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.function = None;
        self.inner.reset().await
    }
}

#[cfg(test)]
mod tests {
    use world::SeededRandom;

    use super::*;

    /// A card that counts the commands since its reset.
    #[derive(Default)]
    struct Counter(u8);

    impl CardInterface for Counter {
        async fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            self.0 += 1;
            Ok(vec![self.0, 0x90, 0x00])
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            self.0 = 0;
            Ok(Atr(Vec::new()))
        }
    }

    /// The STORE DATA command with this number of a function.
    fn store_data(number: u8, tag: &[u8]) -> Vec<u8> {
        [&[0x80, STORE_DATA, 0x11, number, 2], tag].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn faults_occur_at_a_command_of_their_function() {
        let faults = [
            "apdu/reset-before@ES10b.AuthenticateServer#2",
            "apdu/lose-response@ES10b.PrepareDownload",
            "apdu/reset-after@ES10b.LoadBoundProfilePackage#2",
        ];
        let faults = faults.map(|fault| fault.parse().unwrap());
        let faults = FaultInjector::new(SeededRandom::from_text("apdu"), faults);
        let mut card = FaultyCardInterface::new(Counter::default(), faults);
        let broken = |result| matches!(result, Err(CardInterfaceFault::Broken(_)));
        assert!(card.transmit(&[0x00, 0xA4, 4, 0, 0]).await.is_ok());
        // The second block has no tag of its own.
        assert_eq!(card.transmit(&store_data(0, &[0xBF, 0x38])).await.unwrap()[0], 2);
        assert!(broken(card.transmit(&store_data(1, &[0xBF, 0x21])).await));
        assert_eq!(card.inner.0, 0);
        let lost = card.transmit(&store_data(0, &[0xBF, 0x21])).await;
        assert!(matches!(lost, Err(CardInterfaceFault::Timeout(_))));
        assert_eq!(card.inner.0, 1);
        assert_eq!(card.transmit(&store_data(0, &[0xBF, 0x36])).await.unwrap()[0], 2);
        assert!(broken(card.transmit(&store_data(0, &[0xA0, 0x00])).await));
        assert_eq!(card.inner.0, 0);
    }
}
