//! One plugin may implement several contracts: one version serves them all, they change together, and a version that
//! fits one of them only is not used for any.

use plugind_client::{Client, Handle, Instance, Outcome};
use plugind_tests::contract::{Actor, Prompter, Stage, StageRef};
use plugind_tests::{DEADLINE, Home, Troupe, embed, until};
use plugind_wire::manifest::Inspection;

const ACTOR: &str = "
pub struct Player;
#[plugin]
impl Actor for Player {
    type State = u32;
    fn start() -> u32 { 0 }
    fn act(steps: &mut u32, stage: &mut StageRef<'_>) -> (u32, String) {
        *steps += 1;
        (*steps, format!(\"{} in build BUILD\", stage.title()))
    }
    fn stumble(_: &mut u32) -> u32 { 0 }
}
";

const PROMPTER: &str = "
#[plugin]
impl Prompter for Player {
    fn prompt(line: &str, times: u32) -> String { format!(\"{}BUILD\", line.repeat(times as usize)) }
    fn forget() -> u32 { panic!(\"nothing is known\") }
}
";

struct Theatre;

impl Stage for Theatre {
    fn light(&mut self, _: &plugind_tests::contract::Colour) -> u32 {
        0
    }
    fn title(&self) -> String {
        "Faust".to_owned()
    }
    fn measure(&self, _: &str, _: &[u32]) -> (usize, u32) {
        (0, 0)
    }
}

/// The program, which uses the plugin by both contracts.
struct Program {
    client: Client,
    actor: Instance<dyn Actor>,
    prompter: Handle<dyn Prompter>,
    steps: u32,
}

impl Program {
    /// A frame: both contracts are served by one version, which is this build, and the state went on.
    fn expect(&mut self, number: u64, build: u32) {
        self.steps += 1;
        let said = self.actor.act(&mut StageRef::new(&mut Theatre));
        let expected = format!("Faust in build {build}");
        assert_eq!(said, Ok((self.steps, expected)), "v{number}");
        let now = self.client.snapshot();
        let prompter = self.prompter.at(&now);
        assert_eq!(prompter.prompt("la", 2), Ok(format!("lala{build}")));
        let fault = prompter.forget().expect_err("it panics");
        assert_eq!((fault.plugin.as_str(), fault.version), ("both", number));
        assert_eq!(self.actor.version().number, number);
    }

    /// Synchronises until a newer version was looked at.
    fn outcome(&mut self, number: u64) -> Outcome {
        until("the next version", || {
            let [outcome] = self.client.sync([&mut self.actor]);
            match &outcome {
                Outcome::Swapped { to: of, .. } | Outcome::Kept { version: of, .. } => {
                    (of.number == number).then_some(outcome)
                }
                _ => None,
            }
        })
    }
}

#[test]
fn one_plugin_serves_two_contracts() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    let build = |source: &str, build: u32| {
        troupe.plugin("both", &source.replace("BUILD", &build.to_string()));
        troupe.build();
    };
    let both = [ACTOR, PROMPTER].concat();
    build(&both, 1);
    assert_eq!(contracts(&home, &troupe), ["Actor", "Prompter"]);

    let client = embed(&home, &troupe.target(), DEADLINE);
    let mut program = Program {
        actor: client.start("both").expect("it acts"),
        prompter: client.bind("both").expect("it prompts"),
        client,
        steps: 0,
    };
    program.expect(1, 1);
    // The other way round in the file, which means nothing.
    let turned = both.replace(ACTOR, "") + ACTOR;
    for (number, source) in [(2, &turned), (3, &both)] {
        build(source, number as u32);
        let outcome = program.outcome(number);
        assert!(matches!(outcome, Outcome::Swapped { .. }), "{outcome:?}");
        program.expect(number, number as u32);
    }

    // Without the one it is not used for the other either.
    build(&both.replace(PROMPTER, ""), 4);
    assert_eq!(contracts(&home, &troupe), ["Actor"]);
    match program.outcome(4) {
        Outcome::Kept { reason, .. } => {
            assert!(reason.contains("contract `Prompter`"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    program.expect(3, 3);
    build(&both, 5);
    let outcome = program.outcome(5);
    assert!(matches!(outcome, Outcome::Swapped { .. }), "{outcome:?}");
    program.expect(5, 5);
}

/// The contracts that `plugind inspect` finds in what was built.
fn contracts(home: &Home, troupe: &Troupe<'_>) -> Vec<String> {
    let mut inspect = home.plugind(["inspect", "--json"]);
    let output = inspect
        .arg(troupe.artifact("both"))
        .output()
        .expect("plugind starts");
    let inspection: Inspection = serde_json::from_slice(&output.stdout).expect("its document");
    let mut contracts = inspection.manifest.expect("it can be read").contracts;
    contracts.sort();
    contracts
}
