//! Packages as trees of data objects, and their mutations.

use profile::{Capabilities, InstalledProfile, Package};
use rsp::der::write_length;

use crate::random::Random;

/// A valid package.
pub(crate) struct SamplePackage {
    pub(crate) nodes: Vec<Node>,
    /// Paths of its files.
    pub(crate) paths: Vec<Vec<u8>>,
}

impl SamplePackage {
    pub(crate) fn of(octets: &[u8]) -> Self {
        let package = Package::decode(octets).unwrap();
        let files = InstalledProfile::of(&package, &Capabilities::default()).unwrap().files;
        let path = |index| files.path_of(index).iter().flat_map(|fid| fid.0.to_be_bytes()).collect();
        Self { nodes: nodes(octets).unwrap(), paths: files.all().map(|(index, _)| path(index)).collect() }
    }
}

/// A data object that can be mutated and encoded.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    tag: Vec<u8>,
    value: Value,
    /// Wrong length to encode.
    wrong_length: Option<usize>,
}

#[derive(Clone, Debug)]
enum Value {
    Octets(Vec<u8>),
    Nodes(Vec<Node>),
}

/// Parses `octets` as a sequence of data objects; returns `None` if they are something else.
fn nodes(octets: &[u8]) -> Option<Vec<Node>> {
    let mut reader = rsp::der::Reader::new(octets);
    let mut nodes = Vec::new();
    while !reader.is_empty() {
        let (number, contents) = reader.tlv().ok()?;
        let mut tag = Vec::new();
        number.write(&mut tag);
        let children = number.is_constructed().then(|| self::nodes(contents)).flatten();
        let value = children.map_or_else(|| Value::Octets(contents.to_vec()), Value::Nodes);
        nodes.push(Node { tag, value, wrong_length: None });
    }
    Some(nodes)
}

pub(crate) fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        let contents = match &node.value {
            Value::Octets(octets) => octets.clone(),
            Value::Nodes(nodes) => encode(nodes),
        };
        out.extend(&node.tag);
        write_length(node.wrong_length.unwrap_or(contents.len()), &mut out);
        out.extend(contents);
    }
    out
}

/// Signs the data objects before a signature. The first argument has the tags of the enclosing data
/// objects, outermost first. The signature stays as it is if there is no new one.
type Sign<'a> = &'a dyn Fn(&[Vec<u8>], &[Node]) -> Option<Vec<u8>>;

/// A message as a tree of data objects, which can be signed again.
pub(crate) struct SignedMessage(Vec<Node>);

impl SignedMessage {
    /// Parses a message; returns `None` if it is not one data object.
    pub(crate) fn of(octets: &[u8]) -> Option<Self> {
        let nodes = nodes(octets)?;
        (nodes.len() == 1).then_some(Self(nodes))
    }

    /// Mutates one data object. Returns a description of the mutation.
    pub(crate) fn mutate(&mut self, random: &Random) -> String {
        let paths = [vec![0x3F, 0x00]];
        let mut path = vec![0];
        let done = mutate_inside(random, &mut self.0[0], &mut path, &paths);
        format!("{done} at {path:?}")
    }

    /// Replaces each signature (tag 5F37).
    pub(crate) fn sign_again(&mut self, sign: Sign<'_>) {
        for node in &mut self.0 {
            sign_inside(node, &mut Vec::new(), sign);
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&self.0)
    }

    /// True if there is a data object with this tag.
    pub(crate) fn contains(&self, tag: &[u8]) -> bool {
        fn search(nodes: &[Node], tag: &[u8]) -> bool {
            nodes.iter().any(|node| {
                node.tag == tag || matches!(&node.value, Value::Nodes(nodes) if search(nodes, tag))
            })
        }
        search(&self.0, tag)
    }

    /// Returns the octets of the first data object without data objects inside that has this tag.
    pub(crate) fn find(&self, tag: &[u8]) -> Option<Vec<u8>> {
        fn search(nodes: &[Node], tag: &[u8]) -> Option<Vec<u8>> {
            nodes.iter().find_map(|node| match &node.value {
                Value::Octets(octets) if node.tag == tag => Some(octets.clone()),
                Value::Octets(_) => None,
                Value::Nodes(nodes) => search(nodes, tag),
            })
        }
        search(&self.0, tag)
    }
}

const SIGNATURE: [u8; 2] = [0x5F, 0x37];

fn sign_inside(node: &mut Node, path: &mut Vec<Vec<u8>>, sign: Sign<'_>) {
    let Value::Nodes(children) = &mut node.value else { return };
    path.push(node.tag.clone());
    children.iter_mut().for_each(|child| sign_inside(child, path, sign));
    for at in 0..children.len() {
        if children[at].tag == SIGNATURE
            && let Some(signature) = sign(path, &children[..at])
        {
            children[at].value = Value::Octets(signature);
        }
    }
    path.pop();
}

fn leaf(tag: &[u8], octets: Vec<u8>) -> Node {
    Node { tag: tag.to_vec(), value: Value::Octets(octets), wrong_length: None }
}

fn parent(tag: &[u8], nodes: Vec<Node>) -> Node {
    Node { tag: tag.to_vec(), value: Value::Nodes(nodes), wrong_length: None }
}

/// Mutates a package once. Returns a description of the mutation.
pub(crate) fn mutate(
    random: &Random,
    package: &mut Vec<Node>,
    others: &[SamplePackage],
    paths: &[Vec<u8>],
) -> String {
    let at = random.number(package.len());
    let to = random.number(package.len());
    match random.number(20) {
        0 if package.len() > 1 => {
            package.remove(at);
            format!("PE {at} dropped")
        }
        1 if !package.is_empty() => {
            let again = package[at].clone();
            package.insert(to, again);
            format!("PE {at} repeated at {to}")
        }
        2 if !package.is_empty() => {
            package.swap(at, to);
            format!("PE {at} swapped with {to}")
        }
        3 => {
            let other = random.pick(&random.pick(others).nodes).clone();
            package.insert(at, other);
            format!("a PE of another package at {at}")
        }
        4..7 => {
            let number = u8::try_from(random.number(100)).unwrap();
            let last = package.len().saturating_sub(1);
            package.insert(last, generic_file_management(random, number, paths));
            "a generic file management".to_owned()
        }
        _ => {
            let mut path = vec![at];
            match package.get_mut(at) {
                Some(element) => {
                    let done = mutate_inside(random, element, &mut path, paths);
                    format!("{done} at {path:?}")
                }
                None => "nothing".to_owned(),
            }
        }
    }
}

/// Mutates this node or one of its descendants.
fn mutate_inside(random: &Random, node: &mut Node, path: &mut Vec<usize>, paths: &[Vec<u8>]) -> &'static str {
    if let Value::Nodes(children) = &mut node.value
        && !children.is_empty()
        && random.chance(85)
    {
        let at = random.number(children.len());
        if random.chance(20) {
            path.push(at);
            return mutate_children(random, children, at, paths);
        }
        path.push(at);
        return mutate_inside(random, &mut children[at], path, paths);
    }
    match random.number(10) {
        0 => {
            node.wrong_length =
                Some(*random.pick(&[0, 1, 127, 128, 255, 65535, 0xFF_FFFF, 0x7FFF_FFFF, random.number(999)]));
            "length"
        }
        1 => {
            node.tag = random
                .pick(&[vec![0x80], vec![0xA0], vec![0x30], vec![0x9F, 0x70], vec![random.octet()]])
                .clone();
            "tag"
        }
        2 => {
            // The nesting can be deeper than any decoder accepts.
            let mut deep = node.clone();
            for _ in 0..random.number(200) {
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
            node.value = Value::Octets(other_value(random, &old, paths));
            "value"
        }
    }
}

fn mutate_children(random: &Random, children: &mut Vec<Node>, at: usize, paths: &[Vec<u8>]) -> &'static str {
    let to = random.number(children.len());
    match random.number(6) {
        0 => {
            children.remove(at);
            "dropped"
        }
        1 => {
            let again = children[at].clone();
            let times = *random.pick(&[1, 1, 2, 300]);
            children.splice(to..to, vec![again; times]);
            "repeated"
        }
        2 => {
            children.swap(at, to);
            "swapped"
        }
        3 => {
            let parameter = control_parameter(random, paths);
            children.insert(at, parameter);
            "a control parameter"
        }
        4 => {
            let fill = *random.pick(&[0x82, 0x83, 0x02, 0x81]);
            children.insert(at, leaf(&[fill], number_or_content(random)));
            "a fill pattern inserted"
        }
        _ => {
            let parameters = (0..random.number(5)).map(|_| control_parameter(random, paths)).collect();
            children.insert(at, parent(&[*random.pick(&[0xA1, 0x62])], parameters));
            "control parameters"
        }
    }
}

fn other_value(random: &Random, old: &[u8], paths: &[Vec<u8>]) -> Vec<u8> {
    match random.number(9) {
        0 => Vec::new(),
        1 => vec![*random.pick(&[0, 1, 2, 0x7F, 0x80, 0xFF])],
        2 => vec![0xFF; *random.pick(&[2, 3, 4, 8, 9, 16])],
        3 => known(random, paths),
        4 => vec![0x67, 0x81, 0x0F, 0x01, 0x02, random.number(25) as u8, *random.pick(&[1, 2, 3, 9])],
        5 => number_or_content(random),
        6 => {
            let length = random.number(old.len() + 3);
            old.iter().copied().chain([0x3F, 0x00]).take(length).collect()
        }
        _ => random.mutate_octets(old),
    }
}

fn number_or_content(random: &Random) -> Vec<u8> {
    match random.number(8) {
        0 => vec![0x7F, 0xFF, 0xFF, 0xFF],
        1 => vec![0x00, 0xFF, 0xFF],
        2 => vec![0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
        3 => random.octets(40_000),
        4 => vec![0; 1],
        _ => {
            let length = random.number(300);
            random.octets(length)
        }
    }
}

fn content(random: &Random) -> Vec<u8> {
    if random.chance(10) { number_or_content(random) } else { random.octets(random.number(12)) }
}

/// Returns a path. In most cases it is the path of a file of the package, or of its directory.
fn known(random: &Random, paths: &[Vec<u8>]) -> Vec<u8> {
    let path = random.pick(paths);
    match random.number(10) {
        0..4 => path.clone(),
        4..9 => path[..path.len().saturating_sub(2)].to_vec(),
        _ => self::path(random),
    }
}

/// Returns some steps of a path, valid or not.
fn path(random: &Random) -> Vec<u8> {
    const FIDS: [u16; 22] = [
        0x3F00, 0x7FD0, 0x7FF0, 0x7FD1, 0x7FF1, 0x7F10, 0x7F20, 0x7FFF, 0x5F3A, 0x5FC0, 0x5F50, 0x5F3B,
        0x2F00, 0x2FE2, 0x2F06, 0x2F05, 0x6F07, 0x6F3B, 0x6F06, 0x4F20, 0x4F30, 0x5F10,
    ];
    let steps = (0..random.number(4)).map(|_| match random.number(12) {
        0 => [random.octet(), random.octet()],
        _ => random.pick(&FIDS).to_be_bytes(),
    });
    let mut path: Vec<u8> = steps.flatten().collect();
    if random.chance(3) {
        path.pop();
    }
    path
}

fn control_parameter(random: &Random, paths: &[Vec<u8>]) -> Node {
    let identifier = |random: &Random| {
        let path = path(random);
        path.last_chunk::<2>().copied().unwrap_or([0x6F, random.octet()]).to_vec()
    };
    match random.number(12) {
        0 => leaf(
            &[0x82],
            random.pick(&[vec![0x41, 0x21], vec![0x42, 0x21, 0, 0x1C], vec![0x46, 0x21, 0, 5]]).clone(),
        ),
        1 => leaf(
            &[0x82],
            random.pick(&[vec![0x78, 0x21], vec![0x79, 0x21], vec![0x42, 0x21, 0, 0], vec![0x38]]).clone(),
        ),
        2 => leaf(&[0x83], identifier(random)),
        3 => leaf(&[0x84], random.octets(*random.pick(&[0, 4, 5, 16, 17]))),
        4 => leaf(&[0x8A], vec![random.octet()]),
        5 => leaf(&[0x8B], random.octets(*random.pick(&[1, 3, 3, 2]))),
        6 => leaf(
            &[0x80],
            random.pick(&[vec![10], vec![0], vec![0xFF, 0xFF], vec![0x7F; 4], vec![0xFF; 9]]).clone(),
        ),
        7 => leaf(&[0xC6], random.octets(random.number(9))),
        8 => leaf(&[0x88], random.pick(&[vec![], vec![0xF8], vec![0x08], vec![0x07]]).clone()),
        9..11 => leaf(&[0xC7], known(random, paths)),
        _ => {
            let patterns = [
                leaf(&[0xC0], vec![random.octet()]),
                leaf(&[0xC1], random.octets(random.number(5))),
                leaf(&[0xC2], random.octets(random.number(5))),
                leaf(&[0x86], number_or_content(random)),
            ];
            let chosen = patterns.into_iter().filter(|_| random.chance(40)).collect();
            parent(&[0xA5], chosen)
        }
    }
}

/// Returns a PE that creates files by path, most of them with valid parameters.
fn generic_file_management(random: &Random, identification: u8, paths: &[Vec<u8>]) -> Node {
    let mut commands = Vec::new();
    for _ in 0..1 + random.number(6) {
        commands.push(match random.number(8) {
            0..3 => leaf(&[0x80], known(random, paths)),
            3..6 => parent(&[0x62], file(random, paths)),
            6 => leaf(&[0x81], content(random)),
            _ => leaf(&[0x02], vec![random.number(100) as u8]),
        });
    }
    let header = parent(&[0xA0], vec![leaf(&[0x80], vec![]), leaf(&[0x81], vec![0x03, identification])]);
    parent(&[0xA1], vec![header, parent(&[0xA1], vec![parent(&[0x30], commands)])])
}

/// Returns the control parameters of one file, in order.
fn file(random: &Random, paths: &[Vec<u8>]) -> Vec<Node> {
    let (descriptor, size, is_directory) = match random.number(6) {
        0 => (vec![0x41, 0x21], random.octets(2), false),
        1 => (vec![0x42, 0x21, 0x00, 0x10], vec![0x10 * random.number(16) as u8], false),
        2 => (vec![0x46, 0x21, 0x00, 0x03], vec![3 * random.number(80) as u8], false),
        3 => (vec![0x79, 0x21], vec![], false),
        _ => (vec![0x78, 0x21], vec![], true),
    };
    let first = if is_directory { *random.pick(&[0x7F, 0x5F]) } else { *random.pick(&[0x6F, 0x4F, 0x2F]) };
    let mut nodes = vec![leaf(&[0x82], descriptor), leaf(&[0x83], vec![first, random.octet()])];
    if is_directory && random.chance(20) {
        nodes.push(leaf(&[0x84], random.octets(16)));
    }
    nodes.push(leaf(&[0x8A], vec![*random.pick(&[5, 5, 5, 4, 0x0C, random.octet()])]));
    nodes.push(leaf(&[0x8B], vec![0x2F, 0x06, random.number(20) as u8]));
    let is_link = random.chance(35);
    if !is_directory && !is_link && !size.is_empty() {
        nodes.push(leaf(&[0x80], size));
    }
    if is_directory {
        nodes.push(leaf(&[0xC6], vec![0x01, 0x0A]));
    }
    if is_link {
        nodes.push(leaf(&[0xC7], known(random, paths)));
    }
    if random.chance(10) {
        let parameter = control_parameter(random, paths);
        nodes.insert(random.number(nodes.len()), parameter);
    }
    nodes
}
