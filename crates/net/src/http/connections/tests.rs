use super::*;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fn limits(connections: usize, connections_per_source: usize) -> Limits {
    Limits { connections, connections_per_source, request_memory: 1 << 20, ..Limits::default() }
}

#[test]
fn one_address_has_at_most_half_of_the_connections() {
    let limits = Limits::of(64);
    assert_eq!((limits.connections, limits.connections_per_source), (64, 32));
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_lasts_is_logged_once_a_minute() {
    let mut limit = LogLimit::default();
    for (seconds, allowed) in [(0, true), (0, false), (59, false), (1, true), (59, false), (2, true)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(limit.allows(), allowed);
    }
}

fn is_evicted(admitted: &Admitted) -> bool {
    let mut evicted = std::pin::pin!(admitted.evicted());
    evicted.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
}

#[test]
fn a_connection_that_is_idle_can_be_evicted_below_the_limit() {
    let connections = Connections::new(limits(3, 3));
    let only = connections.admit(A).unwrap();
    assert!(!is_evicted(&only));
    connections.evict();
    assert!(is_evicted(&only));
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_the_limit_replaces_the_longest_idle_one() {
    let connections = Connections::new(limits(3, 3));
    let first = connections.admit(A).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = connections.admit(A).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(first.activity.begin());
    let third = connections.admit(B).unwrap();
    let fourth = connections.admit(B).unwrap();
    assert!(is_evicted(&second), "it was idle for the longest time");
    assert!(![&first, &third, &fourth].into_iter().any(is_evicted));
}

#[tokio::test(start_paused = true)]
async fn a_source_over_its_limit_replaces_its_own_connections_only() {
    let connections = Connections::new(limits(10, 2));
    let other = connections.admit(B).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let first = connections.admit(A).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = connections.admit(A).unwrap();
    let _third = connections.admit(A).unwrap();
    assert!(is_evicted(&first) && !is_evicted(&other) && !is_evicted(&second));
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_idle_from_the_end_of_its_work() {
    let connections = Connections::new(limits(3, 3));
    let [first, second, third] = [(); 3].map(|()| connections.admit(A).unwrap());
    let mut work = first.activity.begin();
    work.execute();
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(third.activity.begin());
    let fourth = connections.admit(A).unwrap();
    assert!(is_evicted(&second), "the first one has work");
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(work);
    let fifth = connections.admit(A).unwrap();
    assert!(is_evicted(&third), "it has been idle for longer than the first one");
    drop((fourth, fifth));
    let _others = [(); 2].map(|()| connections.admit(A).unwrap());
    let _last = connections.admit(A).unwrap();
    assert!(is_evicted(&first));
    let open = connections.open.lock().unwrap();
    let of_source = &open.by_time_of_source[&A];
    assert_eq!((open.connections.len(), open.by_time.len(), of_source.len()), (3, 3, 3));
}

#[tokio::test]
async fn a_connection_is_refused_if_all_have_work() {
    let connections = Connections::new(limits(2, 2));
    let [first, second] = [(); 2].map(|()| connections.admit(A).unwrap());
    let [mut busy, mut receiving] = [first.activity.begin(), second.activity.begin()];
    busy.execute();
    receiving.execute();
    assert!(connections.admit(B).is_none() && connections.admit(A).is_none());
    drop(receiving);
    assert!(connections.admit(B).is_some());
    assert!(is_evicted(&second) && !is_evicted(&first));
}

#[tokio::test]
async fn the_ports_of_a_process_share_its_open_files() {
    let files = Arc::new(Files::new(OTHER_FILES + 12));
    let first = Connections::sharing(limits(100, 100), Arc::clone(&files));
    assert_eq!(files.share(), 12);
    let others = [(); 2].map(|()| Connections::sharing(limits(100, 100), Arc::clone(&files)));
    let busy = |connections: &Arc<Connections>, address| {
        let admitted = connections.admit(address)?;
        let mut work = admitted.activity.begin();
        work.execute();
        Some((admitted, work))
    };
    let open: Vec<_> = [A, A, A, B, B, B].into_iter().map_while(|it| busy(&first, it)).collect();
    // One source has half of the share of a port.
    assert_eq!(open.len(), 2);
    let more: Vec<_> = [B, B, B].into_iter().map_while(|it| busy(&first, it)).collect();
    assert_eq!(more.len(), 2, "the share of the port is 4");
    assert!(busy(&others[0], A).is_some(), "another port has places left");
    drop(others);
    assert!(busy(&first, A).is_some(), "the share of a closed port is free again");
}

#[tokio::test]
async fn the_end_of_a_connection_frees_its_place() {
    let connections = Connections::new(limits(1, 1));
    let first = connections.admit(A).unwrap();
    first.activity.begin().execute();
    drop(first);
    let second = connections.admit(A).unwrap();
    assert!(!is_evicted(&second));
}

#[tokio::test(start_paused = true)]
async fn sent_octets_count_as_activity() {
    use tokio::io::AsyncWriteExt;
    let activity = Activity::of_single_connection();
    let (mut stream, _peer) = tokio::io::duplex(100);
    let mut observed = Observed::new(&mut stream, Arc::clone(&activity));
    tokio::time::advance(Duration::from_secs(1)).await;
    observed.write_all(b"octets").await.unwrap();
    assert_eq!(activity.latest(), Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(observed.write_vectored(&[io::IoSlice::new(b"octets")]).await.unwrap(), 6);
    assert_eq!(activity.latest(), Instant::now());
}

#[test]
fn all_addresses_of_an_ipv6_customer_are_one_source() {
    let source = |text: &str| source_of(text.parse().unwrap());
    assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff::2"));
    assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
    assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
}

#[tokio::test]
async fn large_requests_leave_memory_to_small_ones() {
    let connections = Connections::new(limits(10, 10));
    let connection = connections.admit(A).unwrap();
    let mut large = connection.activity.begin();
    let granted = (0..32).filter(|_| large.reserve(SMALL_REQUEST)).count();
    assert_eq!(granted * SMALL_REQUEST, 3 << 18, "three quarters of the memory");
    let mut small: Vec<Work> = (0..5).map(|_| connection.activity.begin()).collect();
    let served: Vec<bool> = small.iter_mut().map(|work| work.reserve(SMALL_REQUEST)).collect();
    assert_eq!(served, [true, true, true, true, false]);
    drop(large);
    assert!(small[4].reserve(SMALL_REQUEST));
}
