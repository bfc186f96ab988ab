"""Near-duplicates in twelve scripts: a copy with one word changed is found, another text is not."""

import pytest

from rows.leaks import near_duplicates
from rows.normalise import normalised

SIMILARITY = 0.7  # as in params.yaml

# script: (a text, the word to change, the new word, another text)
TEXTS: dict[str, tuple[str, str, str, str]] = {
    "Latin": (
        "Yesterday the neighbours planted three apple trees behind the old school",
        "three",
        "seven",
        "My phone rings all evening, and nobody in this house wants to answer it",
    ),
    "Cyrillic": (
        "Вчера соседи посадили три яблони за старой школой возле нашей реки",
        "три",
        "две",
        "Телефон звонит весь вечер, но никто в доме не хочет на него отвечать",
    ),
    "Greek": (
        "Χθες οι γείτονες φύτεψαν τρεις μηλιές πίσω από το παλιό σχολείο μας",
        "τρεις",
        "πέντε",
        "Το τηλέφωνο χτυπάει όλο το βράδυ αλλά κανείς δεν θέλει να απαντήσει",
    ),
    "Arabic": (
        "زرع الجيران أمس ثلاث أشجار تفاح خلف المدرسة القديمة قرب النهر الصغير",
        "ثلاث",
        "خمس",
        "يرن الهاتف طوال المساء ولا أحد في هذا البيت يريد أن يرد على المكالمة",
    ),
    "Hebrew": (
        "אתמול השכנים שתלו שלושה עצי תפוח מאחורי בית הספר הישן ליד הנהר הקטן",
        "שלושה",
        "חמישה",
        "הטלפון מצלצל כל הערב ואף אחד בבית הזה לא רוצה לענות לשיחות האלה",
    ),
    "Devanagari": (
        "कल पड़ोसियों ने पुराने स्कूल के पीछे सेब के तीन पेड़ नदी के पास लगाए थे",
        "तीन",
        "पाँच",
        "फ़ोन पूरी शाम बजता रहता है और इस घर में कोई भी जवाब देना नहीं चाहता",
    ),
    "Bengali": (
        "গতকাল প্রতিবেশীরা পুরোনো স্কুলের পিছনে নদীর ধারে তিনটি আপেল গাছ লাগিয়েছে",
        "তিনটি",
        "পাঁচটি",
        "সারা সন্ধ্যা ফোন বাজছে কিন্তু এই বাড়িতে কেউ উত্তর দিতে চায় না",
    ),
    "Tamil": (
        "நேற்று அண்டை வீட்டார் பழைய பள்ளிக்குப் பின்னால் மூன்று ஆப்பிள் மரங்களை நட்டனர்",
        "மூன்று",
        "ஐந்து",
        "மாலை முழுவதும் தொலைபேசி ஒலிக்கிறது ஆனால் இந்த வீட்டில் யாரும் பதில் சொல்வதில்லை",
    ),
    "Thai": (
        "เมื่อวานเพื่อนบ้านปลูกต้นแอปเปิลสามต้นไว้หลังโรงเรียนเก่าใกล้แม่น้ำสายเล็ก",
        "สาม",
        "ห้า",
        "โทรศัพท์ดังตลอดทั้งเย็นแต่ไม่มีใครในบ้านหลังนี้อยากจะรับสายเลยสักคน",
    ),
    "Chinese": (
        "昨天邻居们在小河旁边的老学校后面种了三棵苹果树,今年春天的雨水特别多,孩子们很高兴",
        "三棵",
        "五棵",
        "电话响了一整个晚上,可是这栋房子里没有人愿意去接,大家都说自己正忙着做别的事情",
    ),
    "Japanese": (
        "昨日、近所の人たちが小さな川のそばの古い学校の裏に、りんごの木を三本植えてくれました",
        "三本",
        "五本",
        "電話が一晩中鳴っているのに、この家ではだれも出ようとしないので、とても困っています",
    ),
    "Korean": (
        "어제 이웃 사람들이 작은 강가의 오래된 학교 뒤에 사과나무 세 그루를 정성껏 심었습니다",
        "세",
        "네",
        "전화가 저녁 내내 울리는데 이 집에서는 아무도 그 전화를 받으려고 하지 않아서 곤란합니다",
    ),
}
LATER = [normalised(text) for text, _, _, _ in TEXTS.values()]


@pytest.mark.parametrize("script", TEXTS)
def test_a_copy_with_one_word_changed_is_found_and_another_text_is_not(script: str) -> None:
    text, word, new_word, another_text = TEXTS[script]
    assert text.count(word) == 1
    earlier = [normalised(text.replace(word, new_word)), normalised(another_text)]
    duplicates = near_duplicates(earlier, LATER, SIMILARITY)
    assert duplicates.keys() == {0}
    position, similarity = duplicates[0]
    assert position == list(TEXTS).index(script)
    assert SIMILARITY <= similarity < 1


def test_a_changed_word_of_a_short_text_is_not_found() -> None:
    # A word of c letters needs about 6 * c + 13 letters of text.
    text = "The soup was cold"
    duplicates = near_duplicates(
        [normalised(text.replace("cold", "good"))], [normalised(text)], SIMILARITY
    )
    assert duplicates == {}
