"""People in full figure: poses, clothes, jobs and ages, so that clothed people stand beside the bare mannequin."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..canvas import RGB, Canvas, shade
from .people import HAIR, SKIN, face

WHITE, BLACK, GREY, NAVY, BROWN, GOLD = (
    (246, 246, 243),
    (46, 46, 54),
    (142, 146, 156),
    (38, 50, 96),
    (124, 82, 48),
    (240, 196, 60),
)
RED, GREEN, BLUE, ORANGE, PINK, PURPLE, TEAL, KHAKI = (
    (214, 44, 48),
    (46, 142, 72),
    (48, 104, 206),
    (244, 132, 36),
    (246, 140, 186),
    (128, 66, 170),
    (30, 148, 150),
    (188, 168, 116),
)


@dataclass(frozen=True)
class Pose:
    """Angles of limbs in degrees from straight down, outward positive: (upper, lower) of each; `low` sinks the hips."""

    arms: tuple[tuple[float, float], tuple[float, float]] = ((18, 10), (18, 10))
    legs: tuple[tuple[float, float], tuple[float, float]] = ((8, 4), (8, 4))
    lean: float = 0.0
    low: float = 0.0


POSES = {
    "standing": Pose(),
    "walking": Pose(((28, 14), (-18, 6)), ((24, 4), (-14, -30))),
    "running": Pose(((70, 150), (-50, 20)), ((58, -20), (-22, -80)), 0.05),
    "dancing": Pose(((150, 175), (70, 100)), ((10, 6), (46, -14))),
    "cheering": Pose(((150, 165), (150, 165)), ((12, 6), (12, 6))),
    "waving": Pose(((18, 10), (130, 165)), ((8, 4), (8, 4))),
    "kneeling": Pose(((20, 20), (20, 20)), ((70, -6), (-4, -84)), 0.0, 0.14),
    "jumping": Pose(((140, 150), (140, 150)), ((50, -20), (50, -20)), 0.0, -0.06),
    "holding": Pose(((18, 10), (40, 110)), ((8, 4), (8, 4))),
    "playing": Pose(((34, -60), (30, 70)), ((10, 4), (10, 4))),
    "ballet": Pose(((130, 190), (70, 90)), ((2, 0), (64, 40))),
    "boxing": Pose(((50, 140), (30, 130)), ((16, 4), (16, 4))),
    "saluting": Pose(((14, 6), (80, 200)), ((6, 2), (6, 2))),
}


@dataclass(frozen=True)
class Look:
    """What a figure wears and carries.

    Attributes:
        top: colour of the upper body; None for the caption's colour.
        bottom: colour of trousers or skirt; None for the caption's colour.
        skirt: length of a skirt as a share of the legs; 0 for trousers.
        sleeves: whether the arms are covered.
        hair: "short", "long", "bun", "none" or "grey".
        hat: a name in HATS, or "".
        prop: a name in PROPS, or "".
        size: of the whole figure; children are smaller.
        head: radius of the head, as a share of the figure.
        coat: whether the top reaches the knees.
        collar: colour of a collar, or None.
        shoes: their colour.
    """

    pose: str = "standing"
    top: RGB | None = None
    bottom: RGB | None = (58, 62, 84)
    skirt: float = 0.0
    sleeves: bool = True
    hair: str = "short"
    hat: str = ""
    prop: str = ""
    size: float = 1.0
    head: float = 0.105
    coat: bool = False
    collar: RGB | None = None
    shoes: RGB = (44, 38, 42)


def _reach(
    start: tuple[float, float], angles: tuple[float, float], side: int, lengths: tuple[float, float]
) -> list[tuple[float, float]]:
    points = [start]
    for angle, length in zip(angles, lengths, strict=True):
        turn = np.radians(angle)
        x, y = points[-1]
        points.append((x + side * length * float(np.sin(turn)), y + length * float(np.cos(turn))))
    return points


def draw_figure(canvas: Canvas, colour: RGB, rng: np.random.Generator, look: Look) -> None:
    """Paint a figure; skin, hair and the side it faces are drawn at random.

    Args:
        canvas: where.
        colour: of the clothes that the look leaves open.
        rng: decides what captions do not say.
        look: pose, clothes and what is carried.
    """
    skin = SKIN[rng.integers(len(SKIN))]
    hair = (190, 190, 196) if look.hair == "grey" else HAIR[rng.integers(len(HAIR))]
    pose = POSES[look.pose]
    flip = 1 if rng.random() < 0.5 else -1
    top = colour if look.top is None else look.top
    bottom = colour if look.bottom is None else look.bottom
    k = look.size

    def at(x: float, y: float) -> tuple[float, float]:
        """Figure coordinates to the box's: smaller figures stand on the same ground."""
        return 0.5 + (x - 0.5) * k, 0.97 - (0.97 - y) * k

    def line(points: list[tuple[float, float]], width: float, fill: RGB) -> None:
        canvas.line([at(*point) for point in points], width * k, fill)

    def polygon(points: list[tuple[float, float]], fill: RGB) -> None:
        canvas.polygon([at(*point) for point in points], fill)

    def circle(x: float, y: float, radius: float, fill: RGB) -> None:
        canvas.circle(*at(x, y), radius * k, fill)

    low, lean = pose.low, pose.lean * flip
    hips, neck = 0.6 + low, 0.33 + low
    head_at = (0.5 + 1.6 * lean, neck - 0.03 - look.head)
    shoulder = neck + 0.04
    if look.hair == "long":
        polygon(
            [
                (head_at[0] - 0.13, head_at[1] - 0.02),
                (head_at[0] + 0.13, head_at[1] - 0.02),
                (head_at[0] + 0.15, neck + 0.12),
                (head_at[0] - 0.15, neck + 0.12),
            ],
            hair,
        )
    for side, angles in zip((-flip, flip), pose.legs, strict=True):
        leg = _reach((0.5 + side * 0.065, hips), angles, side, (0.18, 0.17))
        bare = look.skirt > 0
        line(leg, 0.085, skin if bare else bottom)
        canvas.ellipse(*at(leg[-1][0] + side * 0.025, leg[-1][1] + 0.01), 0.065 * k, 0.032 * k, look.shoes)
    hands = []
    for side, angles in zip((-flip, flip), pose.arms, strict=True):
        arm = _reach((0.5 + lean + side * 0.135, shoulder), angles, side, (0.14, 0.13))
        line(arm, 0.07, skin)
        line(arm if look.sleeves else arm[:2], 0.078, top)
        hands.append(arm[-1])
        circle(*arm[-1], 0.038, skin)
    hands.sort(key=lambda point: -point[0] * flip)
    waist = hips + (0.2 if look.coat else 0.03)
    spread = 0.17 if look.coat else 0.115
    polygon([(0.5 + lean - 0.155, neck), (0.5 + lean + 0.155, neck), (0.5 + spread, waist), (0.5 - spread, waist)], top)
    if look.skirt:
        end = hips + 0.33 * look.skirt
        polygon(
            [
                (0.39, hips - 0.06),
                (0.61, hips - 0.06),
                (0.61 + 0.15 * look.skirt, end),
                (0.39 - 0.15 * look.skirt, end),
            ],
            bottom,
        )
    elif not look.coat:
        polygon([(0.385, hips - 0.03), (0.615, hips - 0.03), (0.62, hips + 0.05), (0.38, hips + 0.05)], bottom)
    line([(0.5 - 0.1, hips - 0.035), (0.5 + 0.1, hips - 0.035)], 0.025, shade(top, 0.6))
    if look.collar is not None:
        polygon([(0.5 + lean - 0.07, neck), (0.5 + lean + 0.07, neck), (0.5 + lean, neck + 0.13)], look.collar)
    circle(*head_at, look.head, skin)
    x, y = head_at
    if look.hair in ("short", "grey", "long", "bun"):
        canvas.pie(*at(x, y - 0.015), (look.head + 0.012) * k, 175, 365, hair)
    if look.hair == "bun":
        circle(x, y - look.head - 0.03, 0.045, hair)
    face(canvas, *at(x, y + 0.02), 0.085 * k)
    if look.hat:
        HATS[look.hat](canvas, at, x, y, look.head, k, top)
    if look.prop:
        PROPS[look.prop](canvas, at, hands[0], hands[1], k)


Place = Callable[[float, float], tuple[float, float]]
Hat = Callable[[Canvas, Place, float, float, float, float, RGB], None]


def _hat(brim: float, crown: float, height: float, fill: RGB, band: RGB | None = None) -> Hat:
    def draw(canvas: Canvas, at: Place, x: float, y: float, r: float, k: float, top: RGB) -> None:
        base = y - 0.45 * r
        canvas.polygon(
            [at(x - crown, base), at(x + crown, base), at(x + crown, base - height), at(x - crown, base - height)], fill
        )
        canvas.ellipse(*at(x, base), brim * k, 0.028 * k, fill)
        if band is not None:
            canvas.line([at(x - crown, base - 0.02), at(x + crown, base - 0.02)], 0.025 * k, band)

    return draw


def _dome(fill: RGB, mark: RGB | None = None, peak: float = 0.0) -> Hat:
    def draw(canvas: Canvas, at: Place, x: float, y: float, r: float, k: float, top: RGB) -> None:
        canvas.pie(*at(x, y - 0.02), (r + 0.025) * k, 180, 360, fill)
        if peak:
            canvas.ellipse(*at(x, y - 0.025), (r + peak) * k, 0.022 * k, shade(fill, 0.75))
        if mark is not None:
            canvas.circle(*at(x, y - 0.65 * r), 0.03 * k, mark)

    return draw


def _cone(fill: RGB, star: RGB, brim: float = 0.0) -> Hat:
    def draw(canvas: Canvas, at: Place, x: float, y: float, r: float, k: float, top: RGB) -> None:
        base = y - 0.4 * r
        canvas.polygon([at(x - 0.11, base), at(x + 0.11, base), at(x + 0.02, base - 0.2)], fill)
        if brim:
            canvas.ellipse(*at(x, base), brim * k, 0.025 * k, fill)
        canvas.circle(*at(x, base - 0.06), 0.025 * k, star)

    return draw


def _crown(canvas: Canvas, at: Place, x: float, y: float, r: float, k: float, top: RGB) -> None:
    b = y - 0.55 * r
    canvas.polygon(
        [
            at(x - 0.1, b),
            at(x + 0.1, b),
            at(x + 0.12, b - 0.11),
            at(x + 0.05, b - 0.05),
            at(x, b - 0.13),
            at(x - 0.05, b - 0.05),
            at(x - 0.12, b - 0.11),
        ],
        GOLD,
    )


def _veil(canvas: Canvas, at: Place, x: float, y: float, r: float, k: float, top: RGB) -> None:
    for side in (-1, 1):
        canvas.polygon(
            [
                at(x + side * 0.05, y - r),
                at(x + side * 0.13, y - 0.02),
                at(x + side * 0.2, y + 0.36),
                at(x + side * 0.12, y + 0.3),
            ],
            (236, 240, 250),
        )


HATS: dict[str, Hat] = {
    "chef": _hat(0.09, 0.1, 0.13, WHITE),
    "top": _hat(0.16, 0.095, 0.15, BLACK, RED),
    "cowboy": _hat(0.2, 0.1, 0.09, BROWN, (70, 44, 26)),
    "straw": _hat(0.19, 0.09, 0.07, (236, 204, 120), RED),
    "sailor": _hat(0.1, 0.1, 0.045, WHITE, NAVY),
    "police": _dome(NAVY, GOLD, 0.05),
    "fire": _dome(RED, GOLD, 0.07),
    "builder": _dome((250, 206, 40), None, 0.05),
    "soldier": _dome((84, 100, 62), None, 0.03),
    "cap": _dome(BLUE, None, 0.05),
    "helmet": _dome((150, 156, 170), None, 0.0),
    "beanie": _dome(RED, WHITE, 0.0),
    "nurse": _hat(0.085, 0.085, 0.055, WHITE, RED),
    "wizard": _cone((76, 62, 168), GOLD, 0.15),
    "witch": _cone(BLACK, ORANGE, 0.19),
    "party": _cone(PINK, GOLD),
    "crown": _crown,
    "veil": _veil,
}

Prop = Callable[[Canvas, Place, tuple[float, float], tuple[float, float], float], None]


def _pole(fill: RGB, top: RGB | None, size: float = 0.05, above: float = 0.3, below: float = 0.3) -> Prop:
    def draw(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
        x, y = hand
        canvas.line([at(x, y - above), at(x, min(0.95, y + below))], 0.03 * k, fill)
        if top is not None:
            canvas.circle(*at(x, y - above), size * k, top)

    return draw


def _tray(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    x, y = hand
    canvas.ellipse(*at(x, y - 0.03), 0.14 * k, 0.025 * k, GREY)
    canvas.rectangle(*at(x - 0.03, y - 0.15), *at(x + 0.03, y - 0.04), (150, 30, 60))


def _case(fill: RGB) -> Prop:
    def draw(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
        x, y = other
        canvas.rectangle(*at(x - 0.09, y + 0.03), *at(x + 0.09, y + 0.15), fill, radius=0.015)
        canvas.ring(*at(x, y + 0.03), 0.035 * k, 0.015 * k, shade(fill, 0.6))

    return draw


def _round(fill: RGB, size: float, drop: float = 0.0) -> Prop:
    def draw(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
        canvas.circle(*at(hand[0], hand[1] + drop), size * k, fill)

    return draw


def _guitar(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    canvas.line([at(0.44, 0.58), at(0.76, 0.4)], 0.035 * k, BROWN)
    canvas.circle(*at(0.44, 0.57), 0.1 * k, (206, 120, 46))
    canvas.circle(*at(0.44, 0.57), 0.035 * k, BLACK)


def _racket(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    x, y = hand
    canvas.line([at(x, y), at(x, y - 0.1)], 0.025 * k, BROWN)
    canvas.ellipse(*at(x, y - 0.18), 0.07 * k, 0.09 * k, RED)
    canvas.ellipse(*at(x, y - 0.18), 0.05 * k, 0.07 * k, WHITE)


def _gloves(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    for point in (hand, other):
        canvas.circle(*at(*point), 0.065 * k, RED)


def _umbrella(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    x, y = hand
    canvas.line([at(x, y), at(x, 0.12)], 0.02 * k, BLACK)
    canvas.pie(*at(x, 0.16), 0.2 * k, 180, 360, PURPLE)


def _balloons(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    x, y = hand
    for dx, dy, fill in ((-0.07, -0.3, BLUE), (0.07, -0.28, ORANGE), (0.0, -0.36, RED)):
        canvas.line([at(x, y), at(x + dx, y + dy)], 0.012 * k, BLACK)
        canvas.ellipse(*at(x + dx, y + dy), 0.06 * k, 0.07 * k, fill)


def _medal(canvas: Canvas, at: Place, hand: tuple[float, float], other: tuple[float, float], k: float) -> None:
    canvas.circle(*at(0.5, 0.44), 0.05 * k, GOLD)


PROPS: dict[str, Prop] = {
    "tray": _tray,
    "briefcase": _case(BROWN),
    "bag": _case(RED),
    "medical": _case(WHITE),
    "staff": _pole(BROWN, GOLD),
    "spear": _pole(BROWN, GREY, 0.035),
    "rake": _pole(BROWN, (90, 96, 104), 0.06, 0.22),
    "broom": _pole(BROWN, None),
    "cane": _pole(BROWN, None, 0.03, 0.02, 0.4),
    "rod": _pole(BROWN, None, 0.0, 0.5, 0.06),
    "sword": _pole((196, 204, 214), None, 0.0, 0.3, 0.04),
    "basketball": _round(ORANGE, 0.085, -0.06),
    "football": _round(BROWN, 0.07),
    "dumbbell": _round(BLACK, 0.07),
    "bouquet": _round(PINK, 0.075, -0.05),
    "book": _case(GREEN),
    "guitar": _guitar,
    "racket": _racket,
    "gloves": _gloves,
    "umbrella": _umbrella,
    "balloons": _balloons,
    "medal": _medal,
    "microphone": _round(BLACK, 0.045, -0.04),
    "net": _pole(BROWN, (210, 220, 220), 0.09, 0.18, 0.1),
}

# name → (the caption's usual colour or None, other words, look)
FIGURES: dict[str, tuple[str | None, tuple[str, ...], Look]] = {
    "waiter": (None, ("butler", "barman"), Look("holding", BLACK, BLACK, collar=WHITE, prop="tray")),
    "chef": (None, ("head cook", "baker"), Look("holding", WHITE, GREY, hat="chef")),
    "doctor": (
        None,
        ("physician", "surgeon"),
        Look("standing", WHITE, (90, 130, 170), coat=True, collar=TEAL, prop="medical"),
    ),
    "nurse woman": (
        None,
        ("hospital nurse", "caregiver"),
        Look("standing", (150, 210, 226), (150, 210, 226), 0.7, hair="bun", hat="nurse", prop="medical"),
    ),
    "policeman": (None, ("constable", "cop"), Look("saluting", NAVY, NAVY, hat="police", collar=(120, 170, 230))),
    "fireman": (None, ("fire rescuer", "fire officer"), Look("walking", (236, 176, 40), (70, 66, 60), hat="fire")),
    "builder": (None, ("workman", "labourer"), Look("walking", ORANGE, (60, 84, 140), hat="builder")),
    "soldier": (None, ("trooper", "army man"), Look("saluting", (96, 112, 70), (84, 96, 60), hat="soldier")),
    "sailor": (None, ("seaman", "navy man"), Look("waving", WHITE, NAVY, hat="sailor", collar=NAVY)),
    "cowboy": (
        None,
        ("rancher", "wrangler"),
        Look("standing", (196, 60, 44), (70, 96, 150), hat="cowboy", shoes=BROWN),
    ),
    "gardener": (None, ("landscaper", "grower"), Look("holding", GREEN, BROWN, hat="straw", prop="rake")),
    "fisherman": (None, ("angler", "fisher"), Look("holding", (60, 120, 150), KHAKI, hat="beanie", prop="rod")),
    "businessman": (None, ("manager", "banker"), Look("walking", GREY, GREY, collar=WHITE, prop="briefcase")),
    "businesswoman": (
        None,
        ("manageress", "lawyer"),
        Look("walking", NAVY, NAVY, 0.55, hair="bun", collar=WHITE, prop="briefcase"),
    ),
    "bride": (
        None,
        ("newlywed woman", "wedding dress"),
        Look("holding", WHITE, WHITE, 1.0, hair="long", hat="veil", prop="bouquet", sleeves=False),
    ),
    "groom": (None, ("bridegroom", "man in a suit"), Look("standing", BLACK, BLACK, collar=WHITE)),
    "king": (
        None,
        ("monarch", "emperor"),
        Look("holding", (160, 30, 60), (160, 30, 60), coat=True, collar=WHITE, hat="crown", prop="staff", hair="grey"),
    ),
    "queen": (None, ("empress", "female monarch"), Look("standing", PURPLE, PURPLE, 1.0, hair="long", hat="crown")),
    "knight": (
        None,
        ("crusader", "armored man"),
        Look("holding", (160, 168, 182), (130, 138, 152), hat="helmet", prop="sword", hair="none"),
    ),
    "warrior": (
        None,
        ("spearman", "fighter"),
        Look("holding", BROWN, (150, 110, 60), 0.4, prop="spear", sleeves=False),
    ),
    "sorcerer": (
        None,
        ("magician", "enchanter"),
        Look("holding", (76, 62, 168), (76, 62, 168), coat=True, hat="wizard", prop="staff", hair="grey"),
    ),
    "witch": (
        None,
        ("hag", "spell caster"),
        Look("holding", BLACK, BLACK, 1.0, hair="long", hat="witch", prop="broom"),
    ),
    "gentleman in a hat": (
        None,
        ("dandy", "magnate"),
        Look("standing", BLACK, GREY, coat=True, collar=WHITE, hat="top", prop="cane"),
    ),
    "grandfather": (None, ("elderly man", "pensioner"), Look("standing", KHAKI, BROWN, hair="grey", prop="cane")),
    "grandmother": (None, ("elderly woman", "granny"), Look("standing", PURPLE, GREY, 0.8, hair="grey", prop="bag")),
    "schoolboy": ("blue", ("pupil", "young boy"), Look("waving", None, (90, 96, 120), hat="cap", size=0.74, head=0.14)),
    "schoolgirl": (
        "red",
        ("young girl", "little girl"),
        Look("waving", WHITE, None, 0.5, hair="long", size=0.74, head=0.14),
    ),
    "toddler": ("yellow", ("small child", "tot"), Look("standing", None, None, size=0.55, head=0.19)),
    "teenager": ("green", ("teen", "adolescent"), Look("walking", None, (70, 96, 150), size=0.88, hair="long")),
    "dancer": ("purple", ("disco girl", "dancing lady"), Look("dancing", None, None, 0.7, hair="long", sleeves=False)),
    "ballet girl": (
        "pink",
        ("ballet student", "prima ballerina"),
        Look("ballet", None, None, 0.3, hair="bun", sleeves=False),
    ),
    "sprinter": ("red", ("athlete", "racer"), Look("running", None, BLACK, sleeves=False)),
    "jumping man": ("orange", ("leaper", "jumper"), Look("jumping", None, (58, 62, 84))),
    "cheerleader": ("red", ("cheering girl", "fan"), Look("cheering", None, WHITE, 0.4, hair="long", prop="balloons")),
    "kneeling man": ("green", ("man on his knees", "crouching man"), Look("kneeling", None, (58, 62, 84))),
    "kneeling lady": (
        "blue",
        ("woman on her knees", "crouching woman"),
        Look("kneeling", None, None, 0.5, hair="long"),
    ),
    "waving man": ("blue", ("greeting man", "man saying hello"), Look("waving", None, KHAKI)),
    "woman in a coat": (
        "red",
        ("woman in winter clothes", "lady in an overcoat"),
        Look("walking", None, BLACK, coat=True, hair="long", prop="bag"),
    ),
    "man in a coat": (
        "brown",
        ("man in winter clothes", "man in an overcoat"),
        Look("walking", None, BLACK, coat=True, hat="beanie"),
    ),
    "woman with an umbrella": (
        "yellow",
        ("lady in the rain", "woman under an umbrella"),
        Look("holding", None, None, 0.7, hair="long", prop="umbrella"),
    ),
    "tennis player": (
        None,
        ("tennis woman", "racket player"),
        Look("holding", WHITE, WHITE, 0.4, hair="bun", prop="racket", sleeves=False),
    ),
    "basketball player": (
        None,
        ("dunker", "hoops player"),
        Look("cheering", ORANGE, ORANGE, prop="basketball", sleeves=False),
    ),
    "footballer": ("green", ("soccer player", "striker"), Look("running", None, WHITE, shoes=BLACK)),
    "boxer": (
        None,
        ("prizefighter", "pugilist"),
        Look("boxing", (60, 90, 200), (200, 40, 40), prop="gloves", sleeves=False),
    ),
    "guitarist": (
        None,
        ("rock musician", "band member"),
        Look("playing", BLACK, (70, 96, 150), hair="long", prop="guitar"),
    ),
    "singing woman": (
        None,
        ("vocalist", "diva"),
        Look("holding", RED, RED, 1.0, hair="long", prop="microphone", sleeves=False),
    ),
    "teacher with a book": (
        None,
        ("professor", "lecturer"),
        Look("waving", (112, 84, 60), GREY, collar=WHITE, prop="book"),
    ),
    "traveller": ("orange", ("tourist", "hiker"), Look("walking", None, KHAKI, hat="cap", prop="bag")),
    "winner": (None, ("champion", "medallist"), Look("cheering", BLUE, WHITE, prop="medal")),
    "party guest": ("pink", ("birthday guest", "party girl"), Look("dancing", None, (58, 62, 84), hat="party")),
    "scientist man": (
        None,
        ("researcher", "lab worker"),
        Look("holding", WHITE, (90, 96, 120), coat=True, collar=BLUE, prop="net"),
    ),
}
