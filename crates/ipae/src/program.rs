//! The program of the IPA: it polls the eIMs of the card for as long as the terminal is on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use device::ipa::IpaSettings;
use device::{EventSource, Ipa, Lpa, LpaSettings};
use euicc_sim::IpaeDescription;
use rsp::sgp32::esipa::USER_AGENT_IPAE;
use rsp::sgp32::ipa_data::ipa_features;
use world::Fault;

use crate::inside::{OwnCard, OwnMemory, TerminalService};
use crate::servers::{ServerTls, Servers};
use crate::sleep::{TerminalPause, sleep};
use crate::toolkit::SharedToolkit;

/// Maximum polls of the future after one command of the terminal. A future that wakes itself more
/// often continues after the next command.
const MAX_POLLS: usize = 10_000;

/// A running IPA.
pub(crate) struct Program {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    woken: Arc<Woken>,
}

/// True if the future can continue without the terminal.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Program {
    /// Starts the IPA. It runs when it is polled.
    ///
    /// # Errors
    /// The memory of the IPA cannot be read.
    pub(crate) fn start(
        toolkit: &SharedToolkit,
        settings: IpaeDescription,
        tls: ServerTls,
        events: EventSource,
    ) -> Result<Self, Fault> {
        let servers = Servers::new(toolkit.clone(), tls, settings.servers.clone(), settings.answer_seconds);
        let ipa_settings = ipa_settings(&settings);
        let own_card = OwnCard(toolkit.clone());
        let lpa = Lpa::new(own_card, servers.clone(), ipa_settings.device.clone(), events.clone());
        let service = TerminalService { toolkit: toolkit.clone(), attach_seconds: settings.attach_seconds };
        let memory = OwnMemory(toolkit.clone());
        let pause = TerminalPause { toolkit: toolkit.clone(), seconds: settings.retry_seconds };
        let ipa = Ipa::inside_card(lpa, service, servers.clone(), ipa_settings, memory, events)?;
        let polling = poll_eims(toolkit.clone(), servers, ipa.with_pause(pause), settings);
        // The cooperative budget of tokio belongs to the task of the terminal. Without it the
        // future would wait for a scheduler that it does not have.
        let future = Box::pin(tokio::task::unconstrained(polling));
        Ok(Self { future, woken: Arc::default() })
    }

    /// Lets the IPA continue until it waits for the terminal.
    pub(crate) fn run(&mut self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        for _ in 0..MAX_POLLS {
            self.woken.0.store(false, Ordering::Release);
            match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending if self.woken.0.load(Ordering::Acquire) => {}
                // The program does not end.
                Poll::Pending | Poll::Ready(()) => return,
            }
        }
        tracing::warn!("the IPA of the card does not wait for the terminal");
    }
}

/// Polls the eIMs without end.
// req: SGP.32-3.1.1.1-Ipae
async fn poll_eims(
    toolkit: SharedToolkit,
    servers: Servers,
    mut ipa: Ipa<OwnCard, TerminalService>,
    settings: IpaeDescription,
) {
    loop {
        let seconds = match ipa.check_in().await {
            Ok(_) => settings.poll_seconds,
            Err(error) => {
                tracing::info!(%error, "the IPA of the card could not poll its eIMs");
                settings.retry_seconds
            }
        };
        servers.disconnect().await;
        sleep(&toolkit, seconds.max(1)).await;
    }
}

fn ipa_settings(settings: &IpaeDescription) -> IpaSettings {
    let defaults = IpaSettings::default();
    // req: SGP.32-3.2.3.2-Ipae
    let mut features =
        vec![ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION, ipa_features::EIM_DOWNLOAD_DATA_HANDLING];
    if settings.direct {
        features.push(ipa_features::DIRECT_RSP_SERVER_COMMUNICATION);
    }
    IpaSettings {
        device: LpaSettings { user_agent: USER_AGENT_IPAE, request_tries: 2, ..defaults.device },
        features,
        // The terminal searches for networks by itself.
        registration_tries: 1,
        delivery_tries: settings.delivery_tries,
        ..defaults
    }
}
