//! Faults of the power supply: a memory whose writes fail, and a card that loses its power.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Notify;
use world::{
    Atr, Batch, CardInterface, CardInterfaceFault, Cells, Fault, Link, LinkFault, Memory, link_from,
};

use super::acts::PowerAct;
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, InjectedFault};

/// The power supply of a card, or of a device with its card. Clones share their state.
#[derive(Clone, Default)]
pub struct Power(Arc<State>);

#[derive(Default)]
struct State {
    is_off: AtomicBool,
    notify: Notify,
    by: OnceLock<FaultSpec>,
}

impl Power {
    /// True if the power has failed.
    pub fn is_off(&self) -> bool {
        self.0.is_off.load(Ordering::SeqCst)
    }

    /// Waits until the power fails.
    pub async fn wait_until_off(&self) {
        loop {
            let notified = self.0.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.is_off() {
                return;
            }
            notified.await;
        }
    }

    /// The fault that cut the power, if a fault did.
    pub fn cut_by(&self) -> Option<&FaultSpec> {
        self.0.by.get()
    }

    fn cut_with(&self, injected: &InjectedFault) {
        self.0.by.get_or_init(|| injected.spec().clone());
        self.cut();
    }

    /// Cuts the power for good. A restarted card or device gets a new [`Power`].
    pub fn cut(&self) {
        self.0.is_off.store(true, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }

    /// Wraps a link of the device that has this power supply. Once the power has failed, no request
    /// leaves the device and no answer reaches it.
    pub fn link(&self, peer: Link) -> Link {
        let power = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (power, peer) = (power.clone(), peer.clone());
            async move {
                power.or_never(async {}).await;
                let answer: Result<Response<Bytes>, LinkFault> = world::send(&peer, request).await;
                power.or_never(async { answer }).await
            }
        }))
    }

    /// Returns the result of a future if there still is power after it; otherwise waits for ever.
    async fn or_never<T>(&self, of: impl Future<Output = T>) -> T {
        let result = of.await;
        if self.is_off() {
            std::future::pending::<()>().await;
        }
        result
    }
}

/// The interface to a card whose power can fail.
///
/// If the card shares the power of the device, a call after a power failure never returns, because
/// the device does not run any more. If the card has its own power, the device sees a broken
/// interface.
pub struct PoweredCard<D> {
    inner: D,
    power: Power,
    is_of_device: bool,
}

impl<D: CardInterface> PoweredCard<D> {
    /// A card that shares the power of the device.
    pub fn of_device(inner: D, power: Power) -> Self {
        Self { inner, power, is_of_device: true }
    }

    /// A card whose power can fail independently of the device.
    pub fn of_card(inner: D, power: Power) -> Self {
        Self { inner, power, is_of_device: false }
    }

    fn still<T: Send>(
        &self,
        answer: Result<T, CardInterfaceFault>,
    ) -> impl Future<Output = Result<T, CardInterfaceFault>> + Send + use<D, T> {
        let (is_off, is_of_device) = (self.power.is_off(), self.is_of_device);
        async move {
            match is_off {
                false => answer,
                true if is_of_device => std::future::pending().await,
                true => Err(CardInterfaceFault::Broken("the card has no power".into())),
            }
        }
    }
}

impl<D: CardInterface> CardInterface for PoweredCard<D> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        self.still(Ok(())).await?;
        let answer = self.inner.transmit(command).await;
        self.still(answer).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.still(Ok(())).await?;
        let answer = self.inner.reset().await;
        self.still(answer).await
    }
}

/// The interface to a card in a reader or modem. When the power of the card fails, the interface is
/// broken; the next reset restores the power. The card is then created again from its stored
/// memory.
pub struct SwitchedCard<D, F> {
    make: F,
    power: Power,
    /// `None` while the card has no power.
    on: Option<PoweredCard<D>>,
}

impl<D: CardInterface, F: FnMut(Power) -> Result<D, Fault> + Send> SwitchedCard<D, F> {
    /// Creates a card with power. `make` creates the card again each time that its power is
    /// restored.
    ///
    /// # Errors
    /// Returns the error of `make`.
    pub fn new(mut make: F) -> Result<Self, Fault> {
        let power = Power::default();
        let on = Some(PoweredCard::of_card(make(power.clone())?, power.clone()));
        Ok(Self { make, power, on })
    }

    fn switch_on(&mut self) -> Result<&mut PoweredCard<D>, Fault> {
        if self.power.is_off() {
            // Drop the old card first, because it still holds its memory.
            self.on = None;
            self.power = Power::default();
        }
        match &mut self.on {
            Some(on) => Ok(on),
            off => Ok(off.insert(PoweredCard::of_card((self.make)(self.power.clone())?, self.power.clone()))),
        }
    }
}

impl<D: CardInterface, F: FnMut(Power) -> Result<D, Fault> + Send> CardInterface for SwitchedCard<D, F> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        match &mut self.on {
            Some(on) => on.transmit(command).await,
            None => Err(CardInterfaceFault::Broken("the card has no power".into())),
        }
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.switch_on().map_err(|fault| CardInterfaceFault::Card(fault.to_string()))?.reset().await
    }
}

/// A memory with injected faults.
pub struct FaultyMemory<M> {
    whose: &'static str,
    inner: M,
    file: Option<(PathBuf, PathBuf)>,
    faults: FaultInjector,
    power: Power,
}

impl<M: Memory> FaultyMemory<M> {
    /// Wraps the memory of `whose` (`card` or `device`) with this power supply.
    pub fn new(whose: &'static str, inner: M, faults: FaultInjector, power: Power) -> Self {
        Self { whose, inner, file: None, faults, power }
    }

    /// Sets the journal of the memory, which a torn write truncates, and the file with the mark of
    /// its last commit, which a torn write does not reach. Without them, a torn write leaves
    /// nothing of the batch.
    #[must_use]
    pub fn in_file(mut self, journal: impl Into<PathBuf>, mark: impl Into<PathBuf>) -> Self {
        self.file = Some((journal.into(), mark.into()));
        self
    }

    fn next_fault(&self, batch: &Batch) -> Option<InjectedFault> {
        self.faults.next_fault(|spec: &FaultSpec| {
            matches!(spec.id(), FaultId::Power(_))
                && spec.place().is_none_or(|place| self.is_at(place, batch))
        })
    }

    /// True if the batch changes a cell whose name starts with the prefix in `place`.
    fn is_at(&self, place: &str, batch: &Batch) -> bool {
        let (whose, cell) = place.split_once(':').unwrap_or((place, ""));
        whose == self.whose && batch.changes().any(|(name, _)| name.starts_with(cell))
    }

    fn commit_with(&mut self, injected: &InjectedFault, batch: Batch) -> Result<(), Fault> {
        let FaultId::Power(act) = injected.id() else { return self.inner.commit(batch) };
        match act {
            PowerAct::WriteFails => return Err(self.fault(injected)),
            PowerAct::CutBeforeWrite => {}
            PowerAct::CutAfterWrite => self.inner.commit(batch)?,
            PowerAct::TornWrite => self.tear(injected, batch)?,
        }
        self.power.cut_with(injected);
        Err(self.fault(injected))
    }

    /// Commits the batch, and then truncates the journal within the written data and restores the
    /// mark.
    fn tear(&mut self, injected: &InjectedFault, batch: Batch) -> Result<(), Fault> {
        let Some((path, mark)) = self.file.clone() else { return Ok(()) };
        let cannot = |why: std::io::Error| {
            Fault::caused_by(why, format!("cannot truncate {}", path.display()), "give the memory's journal")
        };
        let length = || {
            std::fs::metadata(&path).map(|file| file.len()).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(0),
                _ => Err(error),
            })
        };
        let before = length().map_err(cannot)?;
        let mark_before = std::fs::read(&mark).map_err(cannot)?;
        self.inner.commit(batch)?;
        std::fs::write(&mark, mark_before).map_err(cannot)?;
        let after = length().map_err(cannot)?;
        let written = after.saturating_sub(before);
        let missing = injected.number().and_then(|number| u64::try_from(number).ok()).unwrap_or(written / 2);
        let file = OpenOptions::new().write(true).open(&path).map_err(cannot)?;
        file.set_len(after - missing.clamp(1.min(written), written)).map_err(cannot)
    }

    fn fault(&self, injected: &InjectedFault) -> Fault {
        Fault::new(
            format!("cannot write the memory of the {}", self.whose),
            injected.spec().to_string(),
            "remove the fault",
        )
    }
}

impl<M: Memory> Memory for FaultyMemory<M> {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        if self.power.is_off() {
            return Err(Fault::new("cannot write", "there is no power", "restore the power"));
        }
        match self.next_fault(&batch) {
            None => self.inner.commit(batch),
            Some(injected) => self.commit_with(&injected, batch),
        }
    }
}
