//! A plugin calls the program, and a contract grows: what the program offers arrives as it is, a panic there ends the
//! plugin's call and nothing else, older plugins go on with a newer program, and a plugin that calls what the program
//! lacks is refused by name.

use plugind_client::{Change, Client, ClientError, Instance, Outcome};
use plugind_tests::contract::{Actor, Colour, Stage, StageRef};
use plugind_tests::{DEADLINE, Home, Troupe, embed, until};

const PLAYER: &str = "
#[derive(StableType)]
pub struct Steps { steps: u32, falls: u32 }
struct Player;
#[plugin]
impl Actor for Player {
    type State = Steps;
    fn start() -> Steps { Steps { steps: 0, falls: 0 } }
    fn act(state: &mut Steps, stage: &mut StageRef<'_>) -> (u32, String) {
        state.steps += 1;
        let title = stage.title();
        let (length, sum) = stage.measure(&title, &[1, 2, state.steps]);
        let lights = stage.light(&Colour { parts: [1, 2, state.steps as u8] });
        (state.steps, format!(\"{title} {length} {sum} {lights}\"))
    }
    fn stumble(state: &mut Steps) -> u32 {
        state.falls += 1;
        assert!(state.falls % 2 == 0, \"fell over step {}\", state.falls);
        state.falls
    }
}
";

/// The program's object.
#[derive(Default)]
struct Theatre {
    lights: Vec<Colour>,
    /// Panics at every odd light.
    is_dark: bool,
}

impl Stage for Theatre {
    fn light(&mut self, colour: &Colour) -> u32 {
        self.lights.push(*colour);
        assert!(
            !self.is_dark || self.lights.len().is_multiple_of(2),
            "no power for light {}",
            self.lights.len()
        );
        self.lights.len() as u32
    }

    fn title(&self) -> String {
        "Faust".to_owned()
    }

    fn measure(&self, text: &str, numbers: &[u32]) -> (usize, u32) {
        (text.len(), numbers.iter().sum())
    }
}

fn client(home: &Home, troupe: &Troupe<'_>) -> Client {
    embed(home, &troupe.target(), DEADLINE)
}

fn start(client: &Client) -> Result<Instance<dyn Actor>, ClientError> {
    client.start::<dyn Actor>("player")
}

#[test]
fn a_plugin_calls_the_program() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("player", PLAYER);
    troupe.build();
    let client = client(&home, &troupe);
    let mut player = start(&client).expect("it fits");
    let mut theatre = Theatre::default();
    for step in 1..=3 {
        let said = player.act(&mut StageRef::new(&mut theatre));
        let sum = 3 + step;
        assert_eq!(said, Ok((step, format!("Faust 5 {sum} {step}"))));
    }
    let last = theatre.lights.last();
    assert_eq!(last, Some(&Colour { parts: [1, 2, 3] }));
    assert_eq!(player.bow(2, "the box"), Ok("2 nods to the box".to_owned()));
}

#[test]
fn a_hundred_panics_on_either_side_end_their_calls_and_nothing_else() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("player", PLAYER);
    troupe.build();
    let client = client(&home, &troupe);
    let mut player = start(&client).expect("it fits");

    let mut theatre = Theatre {
        is_dark: true,
        ..Theatre::default()
    };
    for call in 1..=200 {
        let said = player.act(&mut StageRef::new(&mut theatre));
        if call % 2 == 0 {
            assert_eq!(said.expect("there is power").0, call);
            continue;
        }
        let fault = said.expect_err("there is no power");
        let told = format!("the program's `Stage::light` panicked: no power for light {call}");
        assert_eq!((fault.plugin.as_str(), fault.version), ("player", 1));
        assert_eq!((fault.function, fault.message), ("act", told));
        let location = fault.location.expect("the program knows where");
        assert!(location.contains("host.rs:"), "{location}");
    }
    for call in 1..=200 {
        let said = player.stumble();
        if call % 2 == 0 {
            assert_eq!(said, Ok(call));
            continue;
        }
        let fault = said.expect_err("it fell");
        assert_eq!((fault.plugin.as_str(), fault.version), ("player", 1));
        assert_eq!(fault.message, format!("fell over step {call}"));
        let location = fault.location.expect("the plugin knows where");
        assert!(
            location.contains("plugins/player/src/lib.rs:"),
            "{location}"
        );
    }
}

#[test]
fn an_older_plugin_works_with_a_program_that_offers_more() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    // Before `light` stood first, and before there was a `bow`.
    troupe.contract_with(&[
        (
            "    /// Adds a light, and tells how many there are.\n    fn light(&mut self, colour: &Colour) -> u32;\n",
            "",
        ),
        (
            "    /// Added later: a plugin may lack it.\n    fn bow(times: u32, to: &str) -> String {\n        format!(\"{times} nods to {to}\")\n    }\n",
            "",
        ),
    ]);
    troupe.plugin(
        "player",
        &PLAYER.replace(
            "stage.light(&Colour { parts: [1, 2, state.steps as u8] })",
            "0",
        ),
    );
    troupe.build();
    let client = client(&home, &troupe);
    let mut player = start(&client).expect("it fits");
    let mut theatre = Theatre::default();
    let said = player.act(&mut StageRef::new(&mut theatre));
    assert_eq!(said, Ok((1, "Faust 5 4 0".to_owned())));
    assert_eq!(player.bow(3, "all"), Ok("3 nods to all".to_owned()));

    // The same contract, and a body of its own.
    troupe.contract_with(&[]);
    let own = "fn bow(times: u32, to: &str) -> String { format!(\"{times} bows to {to}\") }\n    fn stumble";
    troupe.plugin("player", &PLAYER.replace("fn stumble", own));
    troupe.build();
    let swapped = || {
        client.sync([&mut player]);
        (player.version().number == 2).then_some(())
    };
    until("the next version", swapped);
    assert_eq!(player.bow(3, "all"), Ok("3 bows to all".to_owned()));
    assert_eq!(
        player
            .act(&mut StageRef::new(&mut theatre))
            .expect("it goes on")
            .0,
        2
    );
}

/// What is said of a plugin that was built with a contract with these changes.
fn refusal(changes: &[(&str, &str)]) -> String {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.contract_with(changes);
    troupe.plugin("player", PLAYER);
    troupe.build();
    let error = start(&client(&home, &troupe)).expect_err("it does not fit");
    plugind_client::sentence(&error)
}

#[test]
fn a_plugin_that_calls_what_the_program_lacks_is_refused_by_name() {
    let more = "pub trait Stage {\n    /// Opens it.\n    fn trap_door(&mut self, depth: u8);";
    let said = refusal(&[("pub trait Stage {", more)]);
    for part in ["player", "`act`", "trap_door", "`Stage`", "does not offer"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn a_plugin_that_calls_another_form_of_what_the_program_offers_is_refused() {
    let said = refusal(&[("-> (usize, u32);", "-> (usize, u64);")]);
    for part in ["player", "`act`", "measure", "`Stage`", "in another form"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn an_optional_function_that_looks_otherwise_is_refused() {
    let said = refusal(&[("fn bow(times: u32,", "fn bow(times: u64,")]);
    for part in ["player", "`bow`", "u64", "u32", "`Actor`"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn what_the_client_refuses_is_said_at_sync() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("player", PLAYER);
    troupe.build();
    let client = client(&home, &troupe);
    let mut player = start(&client).expect("it fits");
    let mut actors = client.follow::<dyn Actor>().expect("the client lives");

    troupe.contract_with(&[("-> (usize, u32);", "-> (usize, u64);")]);
    troupe.plugin(
        "twice",
        &format!("{PLAYER}\nstruct Other;\n{}", other_impl()),
    );
    troupe.build();
    let (mut kept, mut refused) = (None, None);
    until("both are said", || {
        let [own, all] = client.sync([&mut player, &mut actors]);
        if let Outcome::Kept { version, reason } = own {
            kept = Some((version.number, reason));
        }
        if let Outcome::Followed(changes) = all {
            refused = refused.take().or_else(|| {
                changes.into_iter().find_map(|change| match change {
                    Change::Refused { version, reason } if version.plugin == "twice" => {
                        Some(reason)
                    }
                    _ => None,
                })
            });
        }
        (kept.is_some() && refused.is_some()).then_some(())
    });
    let (version, reason) = kept.expect("as waited for");
    assert!(version == 2 && reason.contains("measure"), "{reason}");
    let reason = refused.expect("as waited for");
    assert!(reason.contains("`Actor` twice"), "{reason}");
    assert_eq!(player.version().number, 1);

    troupe.contract_with(&[]);
    troupe.build();
    until("what runs is what is built", || {
        let [outcome] = client.sync([&mut player]);
        (outcome == Outcome::UpToDate).then_some(())
    });
    assert_eq!(player.version().number, 1);
}

/// A second implementation in one plugin.
fn other_impl() -> String {
    let from = PLAYER.find("#[plugin]").expect("there is one");
    PLAYER[from..].replace("for Player", "for Other")
}
