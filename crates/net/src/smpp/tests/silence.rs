//! Peers that say nothing, and times after which a session ends.

use super::*;

/// Moves the clock of the runtime forward. It is not paused during an exchange, because a paused
/// clock can run ahead of octets that are under way.
async fn jump(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// A silent ESME gets one enquire_link, and is disconnected if it does not answer. An ESME that
/// answers stays bound.
#[tokio::test]
async fn a_silent_esme_is_enquired_after_half_a_minute_and_then_disconnected() {
    let bench = bench().await;
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindTransceiver).await;
    for _ in 0..3 {
        jump(30).await;
        let enquiry = raw.receive().await.unwrap();
        assert_eq!(enquiry.command, CommandId::EnquireLink);
        let answer = Frame::answer(&enquiry, CommandStatus::EsmeRok, vec![]);
        raw.stream.write_all(&answer.to_bytes()).await.unwrap();
        for seconds in [0, 20, 20] {
            jump(seconds).await;
            let answer = raw.send(CommandId::EnquireLink, vec![]).await;
            assert_eq!(answer.command, CommandId::EnquireLinkResp, "nothing was sent before");
        }
    }
    jump(30).await;
    assert_eq!(raw.receive().await.unwrap().command, CommandId::EnquireLink);
    jump(30).await;
    assert_eq!(raw.receive().await, None, "the session ends without another request");
}

#[tokio::test]
async fn an_esme_that_acknowledges_no_delivery_or_does_not_bind_is_disconnected() {
    let bench = bench().await;
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindReceiver).await;
    jump(20).await;
    bench.centre.bring("1", from_device(&[1]));
    assert_eq!(raw.receive().await.unwrap().command, CommandId::DeliverSm);
    jump(10).await;
    // The ESME was silent for half a minute, but the delivery can still be acknowledged.
    let enquiry = raw.receive().await.unwrap();
    assert_eq!(enquiry.command, CommandId::EnquireLink);
    let answer = Frame::answer(&enquiry, CommandStatus::EsmeRok, vec![]);
    raw.stream.write_all(&answer.to_bytes()).await.unwrap();
    for seconds in [0, 10] {
        jump(seconds).await;
        assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    }
    jump(10).await;
    assert_eq!(raw.receive().await, None);
    assert!(bench.centre.taken.lock().unwrap().is_empty());

    let mut raw = bench.raw().await;
    for seconds in [0, 5] {
        jump(seconds).await;
        assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    }
    jump(5).await;
    assert_eq!(raw.receive().await, None, "it does not bind");
}

#[tokio::test]
async fn an_esme_acknowledges_the_unbind_of_its_smsc_and_binds_again() {
    let (centre, esme, _hears) = RawCentre::with_esme().await;
    for _ in 0..2 {
        let mut smsc = centre.bound(&esme).await;
        let answer = smsc.send(CommandId::Unbind, vec![]).await;
        assert_eq!((answer.command, answer.status), (CommandId::UnbindResp, CommandStatus::EsmeRok));
        assert_eq!(smsc.receive().await, None, "the ESME closes the connection");
        jump(60).await;
    }
}

#[tokio::test]
async fn an_esme_is_bound_by_the_answer_to_its_bind_only() {
    let (centre, esme, _hears) = RawCentre::with_esme().await;
    let (_, bind) = centre.accept().await;
    let sent = decode::<BindTransceiver>(&bind.body).unwrap().0;
    assert_eq!((sent.system_id.as_str(), sent.password.as_str()), ("sm-sr", "secret"));
    assert_eq!((sent.system_type.as_str(), u8::from(sent.interface_version)), ("EC", 0x34));
    let answer = Frame::answer(&bind, CommandStatus::EsmeRok, message_id("SMSC"));
    let of_another = Frame { sequence: bind.sequence + 1, ..answer.clone() };
    let request = Frame { command: CommandId::EnquireLink, ..answer };
    for wrong in [of_another, request] {
        jump(60).await;
        let (mut smsc, _) = centre.accept().await;
        smsc.stream.write_all(&wrong.to_bytes()).await.unwrap();
        assert_eq!(smsc.receive().await, None, "{wrong:?}");
        assert!(!esme.is_bound());
    }
    jump(60).await;
    centre.bound(&esme).await;
}

/// A silent SMSC gets one enquire_link, and the session ends if it does not answer. A submission
/// that is not yet overdue does not end the session.
#[tokio::test]
async fn a_silent_smsc_is_enquired_after_half_a_minute_and_then_left() {
    let (centre, esme, _hears) = RawCentre::with_esme().await;
    let mut smsc = centre.bound(&esme).await;
    let answer = smsc.send(CommandId::EnquireLink, vec![]).await;
    assert_eq!((answer.command, answer.status), (CommandId::EnquireLinkResp, CommandStatus::EsmeRok));
    jump(20).await;
    let submit = async {
        let submitted = smsc.receive().await.unwrap();
        assert_eq!(submitted.command, CommandId::SubmitSm);
        jump(10).await;
        let enquiry = smsc.receive().await.unwrap();
        assert_eq!(enquiry.command, CommandId::EnquireLink);
        smsc.answer(&enquiry, "").await;
        smsc.answer(&submitted, "m1").await;
    };
    let (submitted, ()) = tokio::join!(esme.submit(submission("+492")), submit);
    assert_eq!(submitted.unwrap(), MessageId("m1".into()));
    jump(30).await;
    assert_eq!(smsc.receive().await.unwrap().command, CommandId::EnquireLink);
    jump(30).await;
    assert_eq!(smsc.receive().await, None, "the session ends without another request");
}

/// A sink that processes its first delivery for ever.
struct Busy;

impl ShortMessageSink for Busy {
    fn take(&self, _: IncomingDelivery) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_esme_refuses_deliveries_when_too_many_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = EsmeSettings {
        address: listener.local_addr().unwrap().to_string(),
        system_id: "sm-sr".into(),
        password: "secret".to_owned().into(),
        system_type: String::new(),
    };
    let esme = Esme::start(settings, Arc::new(Busy), clock());
    let mut smsc = RawCentre(listener).bound(&esme).await;
    let delivery = translate::deliver_sm(&from_device(&[1])).to_bytes();
    // One is processed, and the others wait.
    for _ in 0..=crate::smpp::esme::MAX_INCOMING {
        smsc.sequence += 1;
        let frame = Frame::request(CommandId::DeliverSm, smsc.sequence, delivery.clone());
        smsc.stream.write_all(&frame.to_bytes()).await.unwrap();
    }
    assert_eq!(smsc.status(CommandId::DeliverSm, delivery).await, CommandStatus::EsmeRmsgqful);
}

/// An SMSC answers enquire_link but no submission. The session ends, and the next session works.
#[tokio::test(start_paused = true)]
async fn the_session_with_an_smsc_that_does_not_answer_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accept = async || Raw { stream: listener.accept().await.unwrap().0, buffer: vec![], sequence: 0 };
    let answer = async |raw: &mut Raw, body: &str| {
        let request = raw.receive().await.unwrap();
        let answer = Frame::answer(&request, CommandStatus::EsmeRok, message_id(body));
        raw.stream.write_all(&answer.to_bytes()).await.unwrap();
        request.command
    };
    let (esme, _hears) = esme_at(&address, 0);
    let mut deaf = accept().await;
    assert_eq!(answer(&mut deaf, "SMSC").await, CommandId::BindTransceiver);
    esme.bound().await;
    let esme = Arc::new(esme);
    let mut ten = JoinSet::new();
    for _ in 0..10 {
        let esme = Arc::clone(&esme);
        ten.spawn(async move { esme.submit(submission("+492")).await });
    }
    for _ in 0..10 {
        assert_eq!(deaf.receive().await.unwrap().command, CommandId::SubmitSm);
    }
    let talks = tokio::spawn(async move {
        let mut enquiry = tokio::time::interval(Duration::from_secs(20));
        loop {
            enquiry.tick().await;
            assert_eq!(deaf.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
        }
    });
    let minute = Duration::from_secs(60);
    let mut good = tokio::time::timeout(minute, accept()).await.expect("it comes again");
    talks.abort();
    for ended in ten.join_all().await {
        assert!(matches!(ended, Err(SubmitFault::Unreachable(_))), "{ended:?}");
    }
    assert_eq!(answer(&mut good, "SMSC").await, CommandId::BindTransceiver);
    esme.bound().await;
    let (id, _) = tokio::join!(esme.submit(submission("+492")), answer(&mut good, "m1"));
    assert_eq!(id.unwrap(), MessageId("m1".into()));
}
