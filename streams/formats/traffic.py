"""Where a visit came from and on what: campaign source and medium to a channel, device facts to a device."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["channel_of", "device_of", "told"]

NOT_TOLD: Final = ("", "(not set)", "(not provided)", "(data not available)")
"""Spellings by which analytics tools say that they do not know."""

SEARCH: Final = re.compile(r"google|bing|baidu|yahoo|duckduckgo|yandex|sogou|naver|ecosia|so\.com|360\.cn", re.I)
SOCIAL: Final = re.compile(
    r"facebook|instagram|tiktok|douyin|weibo|wechat|weixin|xiaohongshu|twitter|^x$|t\.co$|linkedin|pinterest|reddit"
    r"|snapchat|^fb$|^ig$",
    re.I,
)
VIDEO: Final = re.compile(r"youtube|bilibili|youku|vimeo|twitch", re.I)

PAID: Final = re.compile(r"^(.*cp[acv].*|ppc|sem|retargeting|paid.*)$", re.I)
MEDIA: Final = (
    (re.compile(r"^(display|banner|expandable|interstitial|cpm)$", re.I), "display"),
    (re.compile(r"^(e[-_ ]?mail|newsletter)$", re.I), "email"),
    (re.compile(r"^affiliates?$", re.I), "affiliate"),
    (re.compile(r"^(social|social[-_ ]?(network|media)|sm)$", re.I), "social"),
    (re.compile(r"^sms$", re.I), "sms"),
    (re.compile(r"(^|[-_ ])push$|^notification$", re.I), "push"),
    (re.compile(r"^organic$", re.I), "organic"),
)


def told(value: Any) -> Any:
    """The value, None where a tool's placeholder says that there is none.

    >>> told("(not set)"), told("ios"), told(0)
    (None, 'ios', 0)
    """
    return None if isinstance(value, str) and value.strip() in NOT_TOLD else value


def channel_of(source: Any, medium: Any) -> str | None:
    """The channel of a campaign's source and medium, None where neither is known.

    >>> channel_of("google", "cpc"), channel_of("google", "organic"), channel_of("(direct)", "(none)")
    ('sem', 'organic', 'direct')
    >>> channel_of("facebook", "paid_social"), channel_of("partner.example", "referral"), channel_of(None, None)
    ('paid_social', 'referral', None)
    """
    source, medium = (value if isinstance(value, str) else "" for value in (told(source), told(medium)))
    if not source and not medium:
        return None
    if source.lower() in ("(direct)", "direct") and medium.lower() in ("", "(none)", "none"):
        return "direct"
    if PAID.match(medium):
        return _paid_channel(source, medium)
    for pattern, channel in MEDIA:
        if pattern.search(medium):
            return channel
    if SOCIAL.search(source):
        return "social"
    if not medium and SEARCH.search(source):
        return "organic"
    return "referral"


def _paid_channel(source: str, medium: str) -> str:
    if SOCIAL.search(source) or "social" in medium.lower():
        return "paid_social"
    if VIDEO.search(source) or "video" in medium.lower():
        return "paid_video"
    if "shopping" in medium.lower():
        return "paid_shopping"
    if SEARCH.search(source) or medium.lower() in ("sem", "ppc", "paidsearch", "paid_search", "paid search"):
        return "sem"
    return "ads"


def device_of(category: Any = None, system: Any = None, user_agent: Any = None) -> str | None:
    """``ios``, ``android``, ``tablet``, ``desktop`` or the category as told; None where nothing is known.

    Parameters
    ----------
    category
        What kind of device, such as ``mobile``.
    system
        The name of its operating system.
    user_agent
        Read where neither tells; only the device is taken from it.

    Examples
    --------
    >>> device_of("mobile", "iOS"), device_of("tablet", "Android"), device_of(None, "Macintosh")
    ('ios', 'tablet', 'desktop')
    >>> device_of(user_agent="Mozilla/5.0 (Linux; Android 14; Pixel 8) Mobile Safari/537.36")
    'android'
    """
    kind, name, agent = (v.lower() if isinstance(v, str) else "" for v in (told(category), told(system), user_agent))
    if kind in ("tablet", "desktop"):
        return kind
    if kind in ("ios", "android"):
        return kind
    if name in ("ios", "iphone os"):
        return "ios"
    if name in ("android", "harmonyos"):
        return "android"
    if name.startswith(("windows", "mac", "linux", "chrome os", "chromeos")):
        return "desktop"
    return kind or name or _device_of_agent(agent)


def _device_of_agent(agent: str) -> str | None:
    if "ipad" in agent or ("android" in agent and "mobile" not in agent):
        return "tablet"
    if "iphone" in agent:
        return "ios"
    if "android" in agent:
        return "android"
    return "desktop" if re.search(r"windows|macintosh|x11|cros", agent) else None
