"""Phrases of advertising and of web pages that no vocabulary should spend a row on.

The corpus of a web crawl repeats them millions of times, so byte-pair encoding learns them before
it learns words; published vocabularies are known for them.  A piece that holds one is left out.
The list is short on purpose: what is also said outside of advertising (`在线观看`, `联系电话`,
`推荐阅读`, `老虎机`, `咨询热线`) is not on it, nor what ordinary words can hold side by side
(`求关注` is in `要求关注`).  Parts of a phrase that byte-pair encoding learned on its way stay.

Phrases are written as `fold_phrase` folds them: half-width and lower case.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizer.learning.oddities import fold

_FOLLOW_US = """
加微信 加薇信 加威信 加v信 加vx 微信同号 加qq群 加入qq群 官方qq群 qq交流群 客服qq 客服微信
添加客服 扫码关注 扫码领取 扫码进群 扫码添加 扫码下载 扫一扫关注 扫描下方二维码 扫描上方二维码
扫描图中二维码 扫二维码关注 长按识别 长按二维码 长按扫码 长按关注 关注公众号 关注本公众号
关注我们的公众号 关注微信公众号 公众号回复 公众号后台 后台回复关键 点击上方蓝字 点击上方关注
点击下方蓝字 点击下方链接 点击蓝字关注 点击关注 点点关注 点赞关注 关注点赞 一键三连 求点赞
分享到微信 分享到微博 分享到朋友圈 转发朋友圈 转发到朋友圈 阅读原文 进群领取 进群交流 淘口令
复制此消息 打开手机淘宝
"""

_BUY_NOW = """
点击下载 高速下载 极速下载 立即领取 免费领取 限时领取 点击领取 限时抢购 限时特惠 限时秒杀 火爆抢购
立即抢购 马上抢购 点击购买 客服热线 客服电话 订购热线 招商热线 加盟热线 加盟电话 招商加盟 诚邀加盟
代理加盟 全国统一热线 厂家直销 厂家批发 欢迎来电 来电咨询 来电洽谈 欢迎选购 欢迎订购 欢迎洽谈
量大从优 全国包邮 免费包邮 顺丰包邮 无效退款 领券购买 领券下单 内部优惠券 天天领红包 免费试听课
广告合作 商务合作请 高仿手表 精仿手表 高仿名表 高仿包包 代开发票 发票代开 代办发票 刻章办证
办证刻章 代办证件 代写论文 论文代写 代发论文 论文代发 刷单兼职 兼职刷单 日入过千 轻松日赚 轻松赚钱
在家赚钱 网赚项目 秒批秒贷 黑户贷款 花呗套现 信用卡代还
"""

_PAGE = """
版权所有 版權所有 版权归原作者 版权归作者所有 著作权归作者所有 转载请注明 轉載請註明 转载须注明
转载请保留 转载请联系 转载务必注明 请注明出处 请注明来源 不得转载 禁止转载 严禁转载 谢绝转载
责任编辑 責任編輯 本文来源 图片来源于网络 图片来自网络 图源网络 内容来源于网络 素材来源于网络
内容来自网络 投稿邮箱 友情链接 友情連結 上一篇下一篇 相关推荐 热门推荐 精彩推荐 更多精彩内容 icp备
icp证 公网安备 网安备案 站长统计 百度快照 点击排行 小编为您 小编为大家 小编整理 小编带来
小编给大家 跟小编 和小编一起 本站提供 本站所有 本站不承担 本站仅提供 收藏本站 请收藏本站 点击观看
如有侵权请 侵权必究 侵权请联系 请联系删除 侵权联系删除
"""

_NOVEL_SITES = """
最新章节 全文阅读 全文免费阅读 无弹窗 手打更新 txt下载 txt全集 免费小说 小说阅读网 笔趣阁 求推荐票
求月票 加入书架 本章未完 一秒记住 首发域名 最快更新 手机用户请浏览 手机版阅读
"""

_GAMBLING = """
澳门威尼斯人 澳门新葡京 澳门金沙 澳门银河 澳门永利 澳门太阳城 澳门娱乐城 澳门六合 澳门彩 澳门赌场
澳门百家乐 葡京娱乐 金沙娱乐 永利娱乐 太阳城娱乐 云顶娱乐 凯发娱乐 娱乐城开户 娱乐城注册 真人娱乐
真人荷官 线上娱乐 百家乐 棋牌游戏 棋牌平台 棋牌娱乐 棋牌下载 棋牌app 现金棋牌 真钱棋牌 开元棋牌
电子游艺 时时彩 北京赛车pk 赛车pk10 幸运飞艇 香港六合彩 六合彩开奖 六合彩资料 一肖中特 平特一肖
开奖直播 彩票平台 彩票投注 彩票开户 体育投注 投注网站 投注平台 在线投注 博彩平台 博彩网站 网上赌场
在线赌场 江苏快三 大发快三 大发彩票 彩神争霸 首充送 注册送彩金 送彩金 娱乐平台注册 亚博体育 bet365
必赢亚洲 博天堂 伟德国际 万博体育 欧宝体育 乐鱼体育
"""

_ADULT = """
成人视频 成人网站 一级黄片 免费视频在线 高清在线观看 免费在线观看 亚洲无码 日韩无码 无码高清
国产精品视频 国产自拍 激情视频 美女裸聊 同城约炮 兼职小姐 空姐上门 酒店上门
"""

PHRASES = frozenset(
    " ".join((_FOLLOW_US, _BUY_NOW, _PAGE, _NOVEL_SITES, _GAMBLING, _ADULT)).split()
)


_ASCII = {code + 0xFEE0: code for code in range(0x21, 0x7F)}


def fold_phrase(text: str) -> str:
    """A text as phrases are compared: full-width characters as ASCII, capitals as small letters."""
    return fold(text.translate(_ASCII)).casefold()


class PhraseSet:
    """Finds the first of many phrases in a text, in time that does not grow with their number.

    Args:
        phrases: compared as `fold_phrase` folds them; an empty one is passed over.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = frozenset(filter(None, map(fold_phrase, phrases)))
        self._lengths = sorted({len(phrase) for phrase in self._phrases})

    def __len__(self) -> int:
        return len(self._phrases)

    def find(self, folded: str) -> str | None:
        """The first, of those that begin there the shortest, or None; `folded` by `fold_phrase`."""
        size, phrases = len(folded), self._phrases
        fitting = [length for length in self._lengths if length <= size]
        for start in range(size) if fitting else ():
            for length in fitting:
                if folded[start : start + length] in phrases:
                    return folded[start : start + length]
        return None
