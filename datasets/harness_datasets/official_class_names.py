"""Names of the classes of Meta-Dataset's sources, sorted, as its dataset specifications have them.

Archives are checked against them, and the official split is drawn from their order: one class more or less would
give another split.
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", " ").split("|"))


AIRCRAFT = _names(
    """
    707-320 | 727-200 | 737-200 | 737-300 | 737-400 | 737-500 | 737-600 | 737-700 | 737-800 | 737-900 |
    747-100 | 747-200 | 747-300 | 747-400 | 757-200 | 757-300 | 767-200 | 767-300 | 767-400 | 777-200 |
    777-300 | A300B4 | A310 | A318 | A319 | A320 | A321 | A330-200 | A330-300 | A340-200 | A340-300 |
    A340-500 | A340-600 | A380 | ATR-42 | ATR-72 | An-12 | BAE 146-200 | BAE 146-300 | BAE-125 |
    Beechcraft 1900 | Boeing 717 | C-130 | C-47 | CRJ-200 | CRJ-700 | CRJ-900 | Cessna 172 | Cessna 208 |
    Cessna 525 | Cessna 560 | Challenger 600 | DC-10 | DC-3 | DC-6 | DC-8 | DC-9-30 | DH-82 | DHC-1 | DHC-6 |
    DHC-8-100 | DHC-8-300 | DR-400 | Dornier 328 | E-170 | E-190 | E-195 | EMB-120 | ERJ 135 | ERJ 145 |
    Embraer Legacy 600 | Eurofighter Typhoon | F-16A/B | F/A-18 | Falcon 2000 | Falcon 900 | Fokker 100 |
    Fokker 50 | Fokker 70 | Global Express | Gulfstream IV | Gulfstream V | Hawk T1 | Il-76 | L-1011 | MD-11 |
    MD-80 | MD-87 | MD-90 | Metroliner | Model B200 | PA-28 | SR-20 | Saab 2000 | Saab 340 | Spitfire |
    Tornado | Tu-134 | Tu-154 | Yak-42
    """
)

CU_BIRDS = _names(
    """
    001.Black_footed_Albatross | 002.Laysan_Albatross | 003.Sooty_Albatross | 004.Groove_billed_Ani |
    005.Crested_Auklet | 006.Least_Auklet | 007.Parakeet_Auklet | 008.Rhinoceros_Auklet |
    009.Brewer_Blackbird | 010.Red_winged_Blackbird | 011.Rusty_Blackbird | 012.Yellow_headed_Blackbird |
    013.Bobolink | 014.Indigo_Bunting | 015.Lazuli_Bunting | 016.Painted_Bunting | 017.Cardinal |
    018.Spotted_Catbird | 019.Gray_Catbird | 020.Yellow_breasted_Chat | 021.Eastern_Towhee |
    022.Chuck_will_Widow | 023.Brandt_Cormorant | 024.Red_faced_Cormorant | 025.Pelagic_Cormorant |
    026.Bronzed_Cowbird | 027.Shiny_Cowbird | 028.Brown_Creeper | 029.American_Crow | 030.Fish_Crow |
    031.Black_billed_Cuckoo | 032.Mangrove_Cuckoo | 033.Yellow_billed_Cuckoo | 034.Gray_crowned_Rosy_Finch |
    035.Purple_Finch | 036.Northern_Flicker | 037.Acadian_Flycatcher | 038.Great_Crested_Flycatcher |
    039.Least_Flycatcher | 040.Olive_sided_Flycatcher | 041.Scissor_tailed_Flycatcher |
    042.Vermilion_Flycatcher | 043.Yellow_bellied_Flycatcher | 044.Frigatebird | 045.Northern_Fulmar |
    046.Gadwall | 047.American_Goldfinch | 048.European_Goldfinch | 049.Boat_tailed_Grackle |
    050.Eared_Grebe | 051.Horned_Grebe | 052.Pied_billed_Grebe | 053.Western_Grebe | 054.Blue_Grosbeak |
    055.Evening_Grosbeak | 056.Pine_Grosbeak | 057.Rose_breasted_Grosbeak | 058.Pigeon_Guillemot |
    059.California_Gull | 060.Glaucous_winged_Gull | 061.Heermann_Gull | 062.Herring_Gull | 063.Ivory_Gull |
    064.Ring_billed_Gull | 065.Slaty_backed_Gull | 066.Western_Gull | 067.Anna_Hummingbird |
    068.Ruby_throated_Hummingbird | 069.Rufous_Hummingbird | 070.Green_Violetear | 071.Long_tailed_Jaeger |
    072.Pomarine_Jaeger | 073.Blue_Jay | 074.Florida_Jay | 075.Green_Jay | 076.Dark_eyed_Junco |
    077.Tropical_Kingbird | 078.Gray_Kingbird | 079.Belted_Kingfisher | 080.Green_Kingfisher |
    081.Pied_Kingfisher | 082.Ringed_Kingfisher | 083.White_breasted_Kingfisher | 084.Red_legged_Kittiwake |
    085.Horned_Lark | 086.Pacific_Loon | 087.Mallard | 088.Western_Meadowlark | 089.Hooded_Merganser |
    090.Red_breasted_Merganser | 091.Mockingbird | 092.Nighthawk | 093.Clark_Nutcracker |
    094.White_breasted_Nuthatch | 095.Baltimore_Oriole | 096.Hooded_Oriole | 097.Orchard_Oriole |
    098.Scott_Oriole | 099.Ovenbird | 100.Brown_Pelican | 101.White_Pelican | 102.Western_Wood_Pewee |
    103.Sayornis | 104.American_Pipit | 105.Whip_poor_Will | 106.Horned_Puffin | 107.Common_Raven |
    108.White_necked_Raven | 109.American_Redstart | 110.Geococcyx | 111.Loggerhead_Shrike |
    112.Great_Grey_Shrike | 113.Baird_Sparrow | 114.Black_throated_Sparrow | 115.Brewer_Sparrow |
    116.Chipping_Sparrow | 117.Clay_colored_Sparrow | 118.House_Sparrow | 119.Field_Sparrow |
    120.Fox_Sparrow | 121.Grasshopper_Sparrow | 122.Harris_Sparrow | 123.Henslow_Sparrow |
    124.Le_Conte_Sparrow | 125.Lincoln_Sparrow | 126.Nelson_Sharp_tailed_Sparrow | 127.Savannah_Sparrow |
    128.Seaside_Sparrow | 129.Song_Sparrow | 130.Tree_Sparrow | 131.Vesper_Sparrow |
    132.White_crowned_Sparrow | 133.White_throated_Sparrow | 134.Cape_Glossy_Starling | 135.Bank_Swallow |
    136.Barn_Swallow | 137.Cliff_Swallow | 138.Tree_Swallow | 139.Scarlet_Tanager | 140.Summer_Tanager |
    141.Artic_Tern | 142.Black_Tern | 143.Caspian_Tern | 144.Common_Tern | 145.Elegant_Tern |
    146.Forsters_Tern | 147.Least_Tern | 148.Green_tailed_Towhee | 149.Brown_Thrasher | 150.Sage_Thrasher |
    151.Black_capped_Vireo | 152.Blue_headed_Vireo | 153.Philadelphia_Vireo | 154.Red_eyed_Vireo |
    155.Warbling_Vireo | 156.White_eyed_Vireo | 157.Yellow_throated_Vireo | 158.Bay_breasted_Warbler |
    159.Black_and_white_Warbler | 160.Black_throated_Blue_Warbler | 161.Blue_winged_Warbler |
    162.Canada_Warbler | 163.Cape_May_Warbler | 164.Cerulean_Warbler | 165.Chestnut_sided_Warbler |
    166.Golden_winged_Warbler | 167.Hooded_Warbler | 168.Kentucky_Warbler | 169.Magnolia_Warbler |
    170.Mourning_Warbler | 171.Myrtle_Warbler | 172.Nashville_Warbler | 173.Orange_crowned_Warbler |
    174.Palm_Warbler | 175.Pine_Warbler | 176.Prairie_Warbler | 177.Prothonotary_Warbler |
    178.Swainson_Warbler | 179.Tennessee_Warbler | 180.Wilson_Warbler | 181.Worm_eating_Warbler |
    182.Yellow_Warbler | 183.Northern_Waterthrush | 184.Louisiana_Waterthrush | 185.Bohemian_Waxwing |
    186.Cedar_Waxwing | 187.American_Three_toed_Woodpecker | 188.Pileated_Woodpecker |
    189.Red_bellied_Woodpecker | 190.Red_cockaded_Woodpecker | 191.Red_headed_Woodpecker |
    192.Downy_Woodpecker | 193.Bewick_Wren | 194.Cactus_Wren | 195.Carolina_Wren | 196.House_Wren |
    197.Marsh_Wren | 198.Rock_Wren | 199.Winter_Wren | 200.Common_Yellowthroat
    """
)

DTD = _names(
    """
    banded | blotchy | braided | bubbly | bumpy | chequered | cobwebbed | cracked | crosshatched |
    crystalline | dotted | fibrous | flecked | freckled | frilly | gauzy | grid | grooved | honeycombed |
    interlaced | knitted | lacelike | lined | marbled | matted | meshed | paisley | perforated | pitted |
    pleated | polka-dotted | porous | potholed | scaly | smeared | spiralled | sprinkled | stained |
    stratified | striped | studded | swirly | veined | waffled | woven | wrinkled | zigzagged
    """
)

QUICKDRAW = _names(
    """
    The Eiffel Tower | The Great Wall of China | The Mona Lisa | aircraft carrier | airplane | alarm clock |
    ambulance | angel | animal migration | ant | anvil | apple | arm | asparagus | axe | backpack | banana |
    bandage | barn | baseball | baseball bat | basket | basketball | bat | bathtub | beach | bear | beard |
    bed | bee | belt | bench | bicycle | binoculars | bird | birthday cake | blackberry | blueberry | book |
    boomerang | bottlecap | bowtie | bracelet | brain | bread | bridge | broccoli | broom | bucket |
    bulldozer | bus | bush | butterfly | cactus | cake | calculator | calendar | camel | camera | camouflage |
    campfire | candle | cannon | canoe | car | carrot | castle | cat | ceiling fan | cell phone | cello |
    chair | chandelier | church | circle | clarinet | clock | cloud | coffee cup | compass | computer |
    cookie | cooler | couch | cow | crab | crayon | crocodile | crown | cruise ship | cup | diamond |
    dishwasher | diving board | dog | dolphin | donut | door | dragon | dresser | drill | drums | duck |
    dumbbell | ear | elbow | elephant | envelope | eraser | eye | eyeglasses | face | fan | feather | fence |
    finger | fire hydrant | fireplace | firetruck | fish | flamingo | flashlight | flip flops | floor lamp |
    flower | flying saucer | foot | fork | frog | frying pan | garden | garden hose | giraffe | goatee |
    golf club | grapes | grass | guitar | hamburger | hammer | hand | harp | hat | headphones | hedgehog |
    helicopter | helmet | hexagon | hockey puck | hockey stick | horse | hospital | hot air balloon |
    hot dog | hot tub | hourglass | house | house plant | hurricane | ice cream | jacket | jail | kangaroo |
    key | keyboard | knee | knife | ladder | lantern | laptop | leaf | leg | light bulb | lighter |
    lighthouse | lightning | line | lion | lipstick | lobster | lollipop | mailbox | map | marker | matches |
    megaphone | mermaid | microphone | microwave | monkey | moon | mosquito | motorbike | mountain | mouse |
    moustache | mouth | mug | mushroom | nail | necklace | nose | ocean | octagon | octopus | onion | oven |
    owl | paint can | paintbrush | palm tree | panda | pants | paper clip | parachute | parrot | passport |
    peanut | pear | peas | pencil | penguin | piano | pickup truck | picture frame | pig | pillow |
    pineapple | pizza | pliers | police car | pond | pool | popsicle | postcard | potato | power outlet |
    purse | rabbit | raccoon | radio | rain | rainbow | rake | remote control | rhinoceros | rifle | river |
    roller coaster | rollerskates | sailboat | sandwich | saw | saxophone | school bus | scissors | scorpion |
    screwdriver | sea turtle | see saw | shark | sheep | shoe | shorts | shovel | sink | skateboard | skull |
    skyscraper | sleeping bag | smiley face | snail | snake | snorkel | snowflake | snowman | soccer ball |
    sock | speedboat | spider | spoon | spreadsheet | square | squiggle | squirrel | stairs | star | steak |
    stereo | stethoscope | stitches | stop sign | stove | strawberry | streetlight | string bean | submarine |
    suitcase | sun | swan | sweater | swing set | sword | syringe | t-shirt | table | teapot | teddy-bear |
    telephone | television | tennis racquet | tent | tiger | toaster | toe | toilet | tooth | toothbrush |
    toothpaste | tornado | tractor | traffic light | train | tree | triangle | trombone | truck | trumpet |
    umbrella | underwear | van | vase | violin | washing machine | watermelon | waterslide | whale | wheel |
    windmill | wine bottle | wine glass | wristwatch | yoga | zebra | zigzag
    """
)

TRAFFIC_SIGN = _names(
    """
    00.Speed limit (20km/h) | 01.Speed limit (30km/h) | 02.Speed limit (50km/h) | 03.Speed limit (60km/h) |
    04.Speed limit (70km/h) | 05.Speed limit (80km/h) | 06.End of speed limit (80km/h) |
    07.Speed limit (100km/h) | 08.Speed limit (120km/h) | 09.No passing |
    10.No passing for vehicles over 3.5 metric tons | 11.Right-of-way at the next intersection |
    12.Priority road | 13.Yield | 14.Stop | 15.No vehicles | 16.Vehicles over 3.5 metric tons prohibited |
    17.No entry | 18.General caution | 19.Dangerous curve to the left | 20.Dangerous curve to the right |
    21.Double curve | 22.Bumpy road | 23.Slippery road | 24.Road narrows on the right | 25.Road work |
    26.Traffic signals | 27.Pedestrians | 28.Children crossing | 29.Bicycles crossing |
    30.Beware of ice/snow | 31.Wild animals crossing | 32.End of all speed and passing limits |
    33.Turn right ahead | 34.Turn left ahead | 35.Ahead only | 36.Go straight or right |
    37.Go straight or left | 38.Keep right | 39.Keep left | 40.Roundabout mandatory | 41.End of no passing |
    42.End of no passing by vehicles over 3.5 metric tons
    """
)

VGG_FLOWER = _names(
    """
    001.pink primrose | 002.hard-leaved pocket orchid | 003.canterbury bells | 004.sweet pea |
    005.english marigold | 006.tiger lily | 007.moon orchid | 008.bird of paradise | 009.monkshood |
    010.globe thistle | 011.snapdragon | 012.colt's foot | 013.king protea | 014.spear thistle |
    015.yellow iris | 016.globe-flower | 017.purple coneflower | 018.peruvian lily | 019.balloon flower |
    020.giant white arum lily | 021.fire lily | 022.pincushion flower | 023.fritillary | 024.red ginger |
    025.grape hyacinth | 026.corn poppy | 027.prince of wales feathers | 028.stemless gentian |
    029.artichoke | 030.sweet william | 031.carnation | 032.garden phlox | 033.love in the mist |
    034.mexican aster | 035.alpine sea holly | 036.ruby-lipped cattleya | 037.cape flower |
    038.great masterwort | 039.siam tulip | 040.lenten rose | 041.barbeton daisy | 042.daffodil |
    043.sword lily | 044.poinsettia | 045.bolero deep blue | 046.wallflower | 047.marigold | 048.buttercup |
    049.oxeye daisy | 050.common dandelion | 051.petunia | 052.wild pansy | 053.primula | 054.sunflower |
    055.pelargonium | 056.bishop of llandaff | 057.gaura | 058.geranium | 059.orange dahlia |
    060.pink-yellow dahlia? | 061.cautleya spicata | 062.japanese anemone | 063.black-eyed susan |
    064.silverbush | 065.californian poppy | 066.osteospermum | 067.spring crocus | 068.bearded iris |
    069.windflower | 070.tree poppy | 071.gazania | 072.azalea | 073.water lily | 074.rose | 075.thorn apple |
    076.morning glory | 077.passion flower | 078.lotus | 079.toad lily | 080.anthurium | 081.frangipani |
    082.clematis | 083.hibiscus | 084.columbine | 085.desert-rose | 086.tree mallow | 087.magnolia |
    088.cyclamen | 089.watercress | 090.canna lily | 091.hippeastrum | 092.bee balm | 093.ball moss |
    094.foxglove | 095.bougainvillea | 096.camellia | 097.mallow | 098.mexican petunia | 099.bromelia |
    100.blanket flower | 101.trumpet creeper | 102.blackberry lily
    """
)
