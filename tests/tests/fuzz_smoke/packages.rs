//! The installer: packages that are nearly right.

use profile::{Capabilities, InstalledProfile, Installer, MAX_FILE_MEMORY, MAX_FILES, Package};
use rsp::der::write_length;

use crate::bench::{Bench, iccid_of, packages};
use crate::hand::Hand;
use crate::run::{Round, Run};

#[test]
fn a_mutated_package_is_installed_or_refused_and_leaves_nothing() {
    let packages: Vec<Goods> = packages().iter().map(|package| Goods::of(package)).collect();
    let mut run = Run::of("a_mutated_package_is_installed_or_refused_and_leaves_nothing", 30, 100);
    let (mut installed, mut rounds) = (0, 0);
    while let Some(round) = run.round() {
        rounds += 1;
        installed += usize::from(install(round, &packages));
    }
    println!("{installed} of {rounds} packages were installed");
    run.end();
}

/// A good package.
struct Goods {
    nodes: Vec<Node>,
    /// Where its files are.
    paths: Vec<Vec<u8>>,
}

impl Goods {
    fn of(octets: &[u8]) -> Self {
        let package = Package::decode(octets).unwrap();
        let files = InstalledProfile::of(&package, &Capabilities::default()).unwrap().files;
        let path = |index| files.path_of(index).iter().flat_map(|fid| fid.0.to_be_bytes()).collect();
        Self { nodes: nodes(octets).unwrap(), paths: files.all().map(|(index, _)| path(index)).collect() }
    }
}

/// Whether the package of this round was installed.
fn install(mut round: Round, packages: &[Goods]) -> bool {
    let goods = round.hand.pick(packages);
    let mut package = goods.nodes.clone();
    let mut what = Vec::new();
    for _ in 0..*round.hand.pick(&[1, 1, 1, 2, 2, 4]) {
        what.push(mutate(&round.hand, &mut package, packages, &goods.paths));
    }
    let octets = encode(&package);
    let what = what.join(", ");
    let decoded = round.step(format!("{what}: decode {} octets", octets.len()), || Package::decode(&octets));
    let installed = decoded.as_ref().ok().and_then(|package| {
        assert_eq!(package.encode(), octets, "what was read is written again octet for octet");
        let mut installer = Installer::new(Capabilities::default());
        let applied = round.step("Installer::apply".to_owned(), || {
            package.elements.iter().try_for_each(|element| installer.apply(element))
        });
        applied.and_then(|()| installer.finish()).map(|(installed, _)| installed).ok()
    });
    if let Some(installed) = &installed {
        look_at(installed);
    }
    // A card announces the ICCID before it sees the package: without a good one there is no metadata to go with it.
    let iccid = decoded.as_ref().ok().and_then(iccid_of);
    let iccid = iccid.unwrap_or_else(|| "89000123456789012341".parse().unwrap());
    if installed.is_some() && round.hand.chance(50) || round.hand.chance(10) {
        through_the_card(round, &octets, iccid, installed.as_ref());
    }
    installed.is_some()
}

/// What holds of the files of every profile.
fn look_at(installed: &InstalledProfile) {
    let files = &installed.files;
    assert!(files.all().count() <= MAX_FILES);
    assert!(files.memory() <= MAX_FILE_MEMORY, "{} octets", files.memory());
    for (index, file) in files.all() {
        let path = files.path_of(index);
        assert!(files.by_path(&path).is_some(), "{path:?} leads to a file");
        assert_eq!(files.content(index).is_none(), file.kind.is_directory(), "{path:?}");
        if let Some(length) = file.kind.record_length() {
            let content = files.content(index).unwrap();
            assert!(length > 0 && content.len().is_multiple_of(length), "{path:?}: whole records");
        }
    }
}

/// The whole way through ES8+, and what is served afterwards.
fn through_the_card(
    round: Round,
    octets: &[u8],
    iccid: rsp::ids::Iccid,
    installed: Option<&InstalledProfile>,
) {
    let mut bench = Bench::new(round);
    let outcome = bench.download(octets, iccid);
    if outcome.is_ok() {
        assert!(installed.is_some(), "the card installed what the installer refuses");
        serve(&mut bench, iccid, installed.unwrap());
    }
    let before = bench.check();
    bench.power_cycle();
    assert_eq!(bench.check(), before, "the card is the same after the power was away");
    if outcome.is_ok() {
        assert_eq!(bench.delete(iccid).0, 0, "the profile can be deleted");
        assert!(bench.check().is_empty(), "nothing is left");
    }
}

/// The profile is enabled, each of its files selected and read, and disabled again.
fn serve(bench: &mut Bench, iccid: rsp::ids::Iccid, installed: &InstalledProfile) {
    bench.isd_r();
    let enabled = bench.enable(iccid).0;
    bench.card.reset();
    if enabled == 0 {
        for (index, file) in installed.files.all() {
            if bench.round.hand.chance(60) {
                continue;
            }
            let path: Vec<u8> =
                installed.files.path_of(index).iter().skip(1).flat_map(|fid| fid.0.to_be_bytes()).collect();
            let select = match path.len() {
                0 => vec![0, 0xA4, 0, 4, 2, 0x3F, 0],
                length => [&[0, 0xA4, 8, 4, u8::try_from(length).unwrap_or(0xFF)][..], &path].concat(),
            };
            bench.whole(&select);
            match file.kind.record_length() {
                Some(_) => bench.whole(&[0, 0xB2, 1, 4, 0]),
                None => bench.whole(&[0, 0xB0, 0, 0, 0]),
            };
            bench.whole(&[0x80, 0xF2, 0, 0, 0]);
        }
        for (_, adf) in installed.files.adfs(&[]) {
            let profile::FileKind::Adf { aid } = &adf.kind else { continue };
            let select = [&[0, 0xA4, 4, 4, u8::try_from(aid.len()).unwrap()][..], &aid.0].concat();
            bench.whole(&select);
            bench.whole(&[0, 0x20, 0, 1, 8, 0x30, 0x30, 0x30, 0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
            let challenge = bench.round.hand.octets(16);
            let authenticate = [&[0, 0x88, 0, 0x81, 34, 16][..], &challenge, &[16], &challenge].concat();
            bench.whole(&authenticate);
        }
        bench.isd_r();
        assert_eq!(bench.disable(iccid).0, 0, "what was enabled can be disabled");
    }
    bench.card.reset();
}

/// A data object, to be changed and written again.
#[derive(Clone, Debug)]
struct Node {
    tag: Vec<u8>,
    value: Value,
    /// A length that is not the true one.
    lie: Option<usize>,
}

#[derive(Clone, Debug)]
enum Value {
    Octets(Vec<u8>),
    Nodes(Vec<Node>),
}

/// The run of data objects that `octets` are; none when they are something else.
fn nodes(octets: &[u8]) -> Option<Vec<Node>> {
    let mut reader = rsp::der::Reader::new(octets);
    let mut nodes = Vec::new();
    while !reader.is_empty() {
        let (number, contents) = reader.tlv().ok()?;
        let mut tag = Vec::new();
        number.write(&mut tag);
        let children = number.is_constructed().then(|| self::nodes(contents)).flatten();
        let value = children.map_or_else(|| Value::Octets(contents.to_vec()), Value::Nodes);
        nodes.push(Node { tag, value, lie: None });
    }
    Some(nodes)
}

fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        let contents = match &node.value {
            Value::Octets(octets) => octets.clone(),
            Value::Nodes(nodes) => encode(nodes),
        };
        out.extend(&node.tag);
        write_length(node.lie.unwrap_or(contents.len()), &mut out);
        out.extend(contents);
    }
    out
}

fn leaf(tag: &[u8], octets: Vec<u8>) -> Node {
    Node { tag: tag.to_vec(), value: Value::Octets(octets), lie: None }
}

fn parent(tag: &[u8], nodes: Vec<Node>) -> Node {
    Node { tag: tag.to_vec(), value: Value::Nodes(nodes), lie: None }
}

/// One change, and what it was.
fn mutate(hand: &Hand, package: &mut Vec<Node>, others: &[Goods], paths: &[Vec<u8>]) -> String {
    let at = hand.number(package.len());
    let to = hand.number(package.len());
    match hand.number(20) {
        0 if package.len() > 1 => {
            package.remove(at);
            format!("PE {at} dropped")
        }
        1 if !package.is_empty() => {
            let again = package[at].clone();
            package.insert(to, again);
            format!("PE {at} again at {to}")
        }
        2 if !package.is_empty() => {
            package.swap(at, to);
            format!("PE {at} swapped with {to}")
        }
        3 => {
            let other = hand.pick(&hand.pick(others).nodes).clone();
            package.insert(at, other);
            format!("a PE of another package at {at}")
        }
        4..7 => {
            let number = u8::try_from(hand.number(100)).unwrap();
            let last = package.len().saturating_sub(1);
            package.insert(last, generic_file_management(hand, number, paths));
            "a generic file management".to_owned()
        }
        _ => {
            let mut path = vec![at];
            match package.get_mut(at) {
                Some(element) => {
                    let done = mutate_inside(hand, element, &mut path, paths);
                    format!("{done} at {path:?}")
                }
                None => "nothing".to_owned(),
            }
        }
    }
}

/// A change somewhere inside.
fn mutate_inside(hand: &Hand, node: &mut Node, path: &mut Vec<usize>, paths: &[Vec<u8>]) -> &'static str {
    if let Value::Nodes(children) = &mut node.value
        && !children.is_empty()
        && hand.chance(85)
    {
        let at = hand.number(children.len());
        if hand.chance(20) {
            path.push(at);
            return mutate_children(hand, children, at, paths);
        }
        path.push(at);
        return mutate_inside(hand, &mut children[at], path, paths);
    }
    match hand.number(10) {
        0 => {
            node.lie =
                Some(*hand.pick(&[0, 1, 127, 128, 255, 65535, 0xFF_FFFF, 0x7FFF_FFFF, hand.number(999)]));
            "length"
        }
        1 => {
            node.tag = hand
                .pick(&[vec![0x80], vec![0xA0], vec![0x30], vec![0x9F, 0x70], vec![hand.octet()]])
                .clone();
            "tag"
        }
        2 => {
            // Deeper than anybody reads.
            let mut deep = node.clone();
            for _ in 0..hand.number(200) {
                deep = parent(&node.tag, vec![deep]);
            }
            *node = deep;
            "depth"
        }
        _ => {
            let old = match &node.value {
                Value::Octets(octets) => octets.clone(),
                Value::Nodes(nodes) => encode(nodes),
            };
            node.value = Value::Octets(other_value(hand, &old, paths));
            "value"
        }
    }
}

fn mutate_children(hand: &Hand, children: &mut Vec<Node>, at: usize, paths: &[Vec<u8>]) -> &'static str {
    let to = hand.number(children.len());
    match hand.number(6) {
        0 => {
            children.remove(at);
            "dropped"
        }
        1 => {
            let again = children[at].clone();
            let times = *hand.pick(&[1, 1, 2, 300]);
            children.splice(to..to, vec![again; times]);
            "repeated"
        }
        2 => {
            children.swap(at, to);
            "swapped"
        }
        3 => {
            let parameter = control_parameter(hand, paths);
            children.insert(at, parameter);
            "a control parameter"
        }
        4 => {
            let fill = *hand.pick(&[0x82, 0x83, 0x02, 0x81]);
            children.insert(at, leaf(&[fill], number_or_content(hand)));
            "a fill"
        }
        _ => {
            let parameters = (0..hand.number(5)).map(|_| control_parameter(hand, paths)).collect();
            children.insert(at, parent(&[*hand.pick(&[0xA1, 0x62])], parameters));
            "control parameters"
        }
    }
}

fn other_value(hand: &Hand, old: &[u8], paths: &[Vec<u8>]) -> Vec<u8> {
    match hand.number(9) {
        0 => Vec::new(),
        1 => vec![*hand.pick(&[0, 1, 2, 0x7F, 0x80, 0xFF])],
        2 => vec![0xFF; *hand.pick(&[2, 3, 4, 8, 9, 16])],
        3 => known(hand, paths),
        4 => vec![0x67, 0x81, 0x0F, 0x01, 0x02, hand.number(25) as u8, *hand.pick(&[1, 2, 3, 9])],
        5 => number_or_content(hand),
        6 => {
            let length = hand.number(old.len() + 3);
            old.iter().copied().chain([0x3F, 0x00]).take(length).collect()
        }
        _ => hand.spoil(old),
    }
}

fn number_or_content(hand: &Hand) -> Vec<u8> {
    match hand.number(8) {
        0 => vec![0x7F, 0xFF, 0xFF, 0xFF],
        1 => vec![0x00, 0xFF, 0xFF],
        2 => vec![0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
        3 => hand.octets(40_000),
        4 => vec![0; 1],
        _ => {
            let length = hand.number(300);
            hand.octets(length)
        }
    }
}

fn content(hand: &Hand) -> Vec<u8> {
    if hand.chance(10) { number_or_content(hand) } else { hand.octets(hand.number(12)) }
}

/// Mostly a path that is there, or the start of one.
fn known(hand: &Hand, paths: &[Vec<u8>]) -> Vec<u8> {
    let path = hand.pick(paths);
    match hand.number(10) {
        0..4 => path.clone(),
        4..9 => path[..path.len().saturating_sub(2)].to_vec(),
        _ => self::path(hand),
    }
}

/// Some steps of a path, right or wrong.
fn path(hand: &Hand) -> Vec<u8> {
    const FIDS: [u16; 22] = [
        0x3F00, 0x7FD0, 0x7FF0, 0x7FD1, 0x7FF1, 0x7F10, 0x7F20, 0x7FFF, 0x5F3A, 0x5FC0, 0x5F50, 0x5F3B,
        0x2F00, 0x2FE2, 0x2F06, 0x2F05, 0x6F07, 0x6F3B, 0x6F06, 0x4F20, 0x4F30, 0x5F10,
    ];
    let steps = (0..hand.number(4)).map(|_| match hand.number(12) {
        0 => [hand.octet(), hand.octet()],
        _ => hand.pick(&FIDS).to_be_bytes(),
    });
    let mut path: Vec<u8> = steps.flatten().collect();
    if hand.chance(3) {
        path.pop();
    }
    path
}

fn control_parameter(hand: &Hand, paths: &[Vec<u8>]) -> Node {
    let identifier = |hand: &Hand| {
        let path = path(hand);
        path.last_chunk::<2>().copied().unwrap_or([0x6F, hand.octet()]).to_vec()
    };
    match hand.number(12) {
        0 => leaf(
            &[0x82],
            hand.pick(&[vec![0x41, 0x21], vec![0x42, 0x21, 0, 0x1C], vec![0x46, 0x21, 0, 5]]).clone(),
        ),
        1 => leaf(
            &[0x82],
            hand.pick(&[vec![0x78, 0x21], vec![0x79, 0x21], vec![0x42, 0x21, 0, 0], vec![0x38]]).clone(),
        ),
        2 => leaf(&[0x83], identifier(hand)),
        3 => leaf(&[0x84], hand.octets(*hand.pick(&[0, 4, 5, 16, 17]))),
        4 => leaf(&[0x8A], vec![hand.octet()]),
        5 => leaf(&[0x8B], hand.octets(*hand.pick(&[1, 3, 3, 2]))),
        6 => leaf(
            &[0x80],
            hand.pick(&[vec![10], vec![0], vec![0xFF, 0xFF], vec![0x7F; 4], vec![0xFF; 9]]).clone(),
        ),
        7 => leaf(&[0xC6], hand.octets(hand.number(9))),
        8 => leaf(&[0x88], hand.pick(&[vec![], vec![0xF8], vec![0x08], vec![0x07]]).clone()),
        9..11 => leaf(&[0xC7], known(hand, paths)),
        _ => {
            let patterns = [
                leaf(&[0xC0], vec![hand.octet()]),
                leaf(&[0xC1], hand.octets(hand.number(5))),
                leaf(&[0xC2], hand.octets(hand.number(5))),
                leaf(&[0x86], number_or_content(hand)),
            ];
            let chosen = patterns.into_iter().filter(|_| hand.chance(40)).collect();
            parent(&[0xA5], chosen)
        }
    }
}

/// A PE that makes files by path, most of them well described.
fn generic_file_management(hand: &Hand, identification: u8, paths: &[Vec<u8>]) -> Node {
    let mut commands = Vec::new();
    for _ in 0..1 + hand.number(6) {
        commands.push(match hand.number(8) {
            0..3 => leaf(&[0x80], known(hand, paths)),
            3..6 => parent(&[0x62], file(hand, paths)),
            6 => leaf(&[0x81], content(hand)),
            _ => leaf(&[0x02], vec![hand.number(100) as u8]),
        });
    }
    let header = parent(&[0xA0], vec![leaf(&[0x80], vec![]), leaf(&[0x81], vec![0x03, identification])]);
    parent(&[0xA1], vec![header, parent(&[0xA1], vec![parent(&[0x30], commands)])])
}

/// The control parameters of one file in their order.
fn file(hand: &Hand, paths: &[Vec<u8>]) -> Vec<Node> {
    let (descriptor, size, is_directory) = match hand.number(6) {
        0 => (vec![0x41, 0x21], hand.octets(2), false),
        1 => (vec![0x42, 0x21, 0x00, 0x10], vec![0x10 * hand.number(16) as u8], false),
        2 => (vec![0x46, 0x21, 0x00, 0x03], vec![3 * hand.number(80) as u8], false),
        3 => (vec![0x79, 0x21], vec![], false),
        _ => (vec![0x78, 0x21], vec![], true),
    };
    let first = if is_directory { *hand.pick(&[0x7F, 0x5F]) } else { *hand.pick(&[0x6F, 0x4F, 0x2F]) };
    let mut nodes = vec![leaf(&[0x82], descriptor), leaf(&[0x83], vec![first, hand.octet()])];
    if is_directory && hand.chance(20) {
        nodes.push(leaf(&[0x84], hand.octets(16)));
    }
    nodes.push(leaf(&[0x8A], vec![*hand.pick(&[5, 5, 5, 4, 0x0C, hand.octet()])]));
    nodes.push(leaf(&[0x8B], vec![0x2F, 0x06, hand.number(20) as u8]));
    let is_link = hand.chance(35);
    if !is_directory && !is_link && !size.is_empty() {
        nodes.push(leaf(&[0x80], size));
    }
    if is_directory {
        nodes.push(leaf(&[0xC6], vec![0x01, 0x0A]));
    }
    if is_link {
        nodes.push(leaf(&[0xC7], known(hand, paths)));
    }
    if hand.chance(10) {
        let parameter = control_parameter(hand, paths);
        nodes.insert(hand.number(nodes.len()), parameter);
    }
    nodes
}
